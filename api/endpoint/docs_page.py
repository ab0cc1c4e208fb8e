"""The OpenAPI document and Swagger UI; its assets are local, so it works offline."""

import orjson
from sanic import Blueprint, HTTPResponse, Request
from sanic.response import raw, redirect
from swagger_ui_bundle import swagger_ui_path

from api.endpoint.openapi import build_document
from api.endpoint.replies import JSON

pages = Blueprint("documentation")

_ASSETS = (
    "swagger-ui.css",
    "index.css",
    "swagger-ui-bundle.js",
    "swagger-ui-standalone-preset.js",
    "favicon-16x16.png",
    "favicon-32x32.png",
)
# Swagger UI needs inline styles; all else comes from this server.
_POLICY = {
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}
_INITIALIZER = """\
window.onload = () => {
  window.ui = SwaggerUIBundle({
    url: "/openapi.json",
    dom_id: "#swagger-ui",
    deepLinking: true,
    persistAuthorization: true,
    tryItOutEnabled: true,
    validatorUrl: null,
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
    layout: "BaseLayout",
  });
};
"""


@pages.get("/openapi.json", name="openapi")
@pages.get("/swagger/doc.json", name="swagger_document")
async def show_document(request: Request) -> HTTPResponse:
    """Return the document; each process builds it once."""
    if not hasattr(request.app.ctx, "openapi"):
        request.app.ctx.openapi = orjson.dumps(build_document())
    return raw(request.app.ctx.openapi, content_type=JSON)


@pages.get("/swagger/swagger-initializer.js")
async def show_initializer(_request: Request) -> HTTPResponse:
    """Return the script that loads our document into the page."""
    return raw(_INITIALIZER, content_type="text/javascript", headers=_POLICY)


@pages.get("/swagger", strict_slashes=False)
async def show_swagger(_request: Request) -> HTTPResponse:
    """Redirect to the page."""
    return redirect("/swagger/index.html")


@pages.get("/swagger/index.html", name="swagger_page")
async def show_page(_request: Request) -> HTTPResponse:
    """Return Swagger UI."""
    page = (swagger_ui_path / "index.html").read_text()
    return raw(page, content_type="text/html; charset=utf-8", headers=_POLICY)


for _asset in _ASSETS:
    pages.static(f"/swagger/{_asset}", swagger_ui_path / _asset, name=_asset.replace(".", "_"))
