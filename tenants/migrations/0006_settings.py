from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('tenants', '0005_tier_limits'),
    ]

    operations = [
        migrations.CreateModel(
            name='TenantSettings',
            fields=[
            ],
            options={
                'verbose_name': 'settings',
                'verbose_name_plural': 'settings',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('tenants.tenant',),
        ),
    ]
