from django.urls import path

from . import views

app_name = "members"
urlpatterns = [
    path("home/", views.home_page, name="home"),
    path("availability/away/", views.go_away, name="go_away"),
    path("availability/back/", views.come_back, name="come_back"),
]
