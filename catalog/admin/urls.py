"""Pages of the catalogue that belong to no model's admin."""

from __future__ import annotations

from django.urls import path

from catalog.admin.library import add, index, page, updates

app_name = "library"
urlpatterns = [
    path("", page(index), name="index"),
    path("add/", page(add), name="add"),
    path("updates/", page(updates), name="updates"),
]
