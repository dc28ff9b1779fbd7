from django.db import migrations


def make_queue(apps, schema_editor):
    # The row is the lock under which turns are taken, so it has to be there before the first two tickets race for it.
    apps.get_model("members", "Queue").objects.get_or_create(name="support")


class Migration(migrations.Migration):
    dependencies = [("members", "0001_initial")]

    operations = [migrations.RunPython(make_queue, migrations.RunPython.noop)]
