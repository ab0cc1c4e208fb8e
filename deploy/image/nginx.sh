#!/bin/sh
# Renders nginx's files, and becomes nginx.
set -eu
python3 -m deploy.nginx render
exec nginx -c "$NGINX_FOLDER/nginx.conf" -g "daemon off;"
