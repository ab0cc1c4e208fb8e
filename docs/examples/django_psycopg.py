"""A shop with Django and psycopg: `atomic` has the order and its task."""

import os
from urllib.parse import urlsplit
from uuid import uuid4

import django
import shop  # noqa: F401  `enqueue` then refuses arguments that its tasks do not take
from django.conf import settings
from django.db import connection, models, transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from course_enrollment.queue import enqueue, in_transaction_of, run_blocking
from models import ORDERS

URL = urlsplit(os.environ["SHOP_DATABASE_URL"])
settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "HOST": URL.hostname,
            "PORT": URL.port,
            "USER": URL.username,
            "PASSWORD": URL.password,
            "NAME": URL.path.lstrip("/"),
        }
    },
)
django.setup()
with connection.cursor() as cursor:
    cursor.execute(ORDERS)


class Order(models.Model):
    """An order."""

    id = models.UUIDField(primary_key=True, default=uuid4)
    email = models.TextField()

    class Meta:
        """Its table."""

        app_label = "shop"
        db_table = "orders"

    def __str__(self) -> str:
        return f"{self.id} of {self.email}"


def order(_: HttpRequest, email: str) -> HttpResponse:
    """Take an order; one of a stranger is rolled back, and its task with it."""
    with transaction.atomic():
        new = Order.objects.create(email=email)
        with in_transaction_of(connection, schema="queue"):
            run_blocking(enqueue("shop.confirm", {"order": new.id}))
        if email.startswith("stranger"):
            transaction.set_rollback(True)
            return HttpResponse(status=409)
    return JsonResponse(str(new.id), safe=False, status=201)


urlpatterns = [path("orders/<str:email>", order)]
