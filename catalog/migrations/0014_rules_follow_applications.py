from django.db import migrations


def by_id(apps, schema_editor):
    """A name that is nobody's any more stays: the rule's condition on it holds as little as
    before, and who edits the rule is told."""
    ids = {}
    for pk, name in apps.get_model("catalog", "Application").objects.values_list("pk", "name"):
        ids.setdefault(name.lower(), []).append(str(pk))

    def kept(values):
        return [one for value in values for one in ids.get(value.lower(), [value])]

    _rewrite(apps, kept)


def by_name(apps, schema_editor):
    applications = apps.get_model("catalog", "Application").objects.values_list("pk", "name")
    names = {str(pk): name for pk, name in applications}
    _rewrite(apps, lambda values: [names.get(value, value) for value in values])


def _rewrite(apps, kept):
    for rule in apps.get_model("catalog", "RoutingRule").objects.iterator():
        changed = False
        for condition in rule.conditions:
            if condition["subject"] == "application" and condition["operator"] != "contains":
                condition["values"] = list(dict.fromkeys(kept(condition["values"])))
                changed = True
        if changed:
            rule.save(update_fields=["conditions"])


class Migration(migrations.Migration):
    """Conditions of rules name applications by their ids."""

    dependencies = [("catalog", "0013_batch_prices")]

    operations = [migrations.RunPython(by_id, by_name)]
