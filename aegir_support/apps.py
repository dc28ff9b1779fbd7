from django.apps import AppConfig


class AegirSupportConfig(AppConfig):
    name = "aegir_support"
