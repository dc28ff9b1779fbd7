from django.apps import AppConfig


class AegirSupportConfig(AppConfig):
    name = "aegir_support"

    def ready(self) -> None:
        from . import mail, outbox  # noqa: PLC0415 - models can be imported only once the apps are ready

        outbox.handlers["mail"] = mail.deliver
