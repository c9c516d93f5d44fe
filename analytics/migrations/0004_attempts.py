"""Records tell how often a call was sent upstream; of older ones that is not known."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0003_histograms_as_numbers'),
    ]

    operations = [
        migrations.AddField(
            model_name='usagerecord',
            name='attempts',
            field=models.SmallIntegerField(null=True),
        ),
    ]
