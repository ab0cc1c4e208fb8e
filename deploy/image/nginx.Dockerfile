# Debian's nginx with brotli, which renders its configuration from NGINX_ variables when it starts.
# The context is the root of the repository.
ARG BASE=debian:bookworm-slim

FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        ca-certificates libnginx-mod-http-brotli-filter nginx-light python3 tini \
    && rm -rf /var/lib/apt/lists/* /etc/nginx/sites-enabled \
    && groupadd --gid 10001 enroll \
    && useradd --uid 10001 --gid 10001 --no-log-init --shell /usr/sbin/nologin enroll \
    && install --directory --owner enroll --group enroll /var/lib/nginx /var/lib/nginx/body \
    && ln -sf /dev/stdout /var/log/nginx/access.json \
    && ln -sf /dev/stderr /var/log/nginx/error.log
COPY --chmod=0755 deploy/image/healthcheck.py /usr/local/bin/healthcheck
COPY --chmod=0755 deploy/image/nginx.sh /usr/local/bin/render-and-run
COPY deploy/__init__.py /usr/local/lib/course-enrollment/deploy/
COPY deploy/nginx /usr/local/lib/course-enrollment/deploy/nginx
# Engines give a tmpfs the mode of the folder that it hides; that of /tmp lets every user write.
ENV NGINX_FOLDER=/tmp/enroll/nginx \
    NGINX_PID=/tmp/nginx.pid \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /usr/local/lib/course-enrollment
USER 10001:10001
EXPOSE 8080 8443 8090
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5s --timeout=5s --retries=3 CMD ["healthcheck", "http://127.0.0.1:8090/status"]
ENTRYPOINT ["tini", "--", "render-and-run"]
