from django.urls import path

from . import views

app_name = "billing"
urlpatterns = [
    path("pricing/", views.pricing, name="pricing"),
    path("subscription/", views.subscription, name="subscription"),
    path("servers/", views.servers, name="servers"),
    path("contacts/", views.contacts, name="contacts"),
    path("contacts/<int:pk>/invite/", views.invite_again, name="invite_again"),
    path("invitations/<int:pk>/again/", views.ask_again, name="ask_again"),
    path("books/", views.books, name="books"),
]
