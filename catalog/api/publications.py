"""/api/publications/"""

from __future__ import annotations

from rest_framework import serializers

from catalog.api.base import ReadOnly
from catalog.models import Publication


class PublicationSerializer(serializers.ModelSerializer):
    class Meta:
        model = Publication
        fields = ["id", "version", "status", "digest", "size", "problem", "created_at"]
        read_only_fields = fields


class PublicationViewSet(ReadOnly):
    """What was sent to the gateways, what waits for their store, and what was refused and why."""

    queryset = Publication.objects.all()
    serializer_class = PublicationSerializer
    filterset_fields = {"status": ["exact"], "version": ["exact", "gte", "lte"]}
    search_fields = ["problem"]
    ordering_fields = ["version", "created_at"]
    ordering = ["-version"]
