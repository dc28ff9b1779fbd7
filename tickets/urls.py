from django.urls import path

from members import limits
from members.limits import limited

from .views import attachments, queue, tickets

app_name = "tickets"
urlpatterns = [
    path("tickets/", tickets.ticket_list, name="ticket_list"),
    path("tickets/new/", limited(limits.FILE, limits.UPLOAD)(tickets.file_ticket), name="file_ticket"),
    path("tickets/preview/", limited(limits.PREVIEW)(tickets.preview), name="preview"),
    path("tickets/<int:number>/", tickets.ticket, name="ticket"),
    path("tickets/<int:number>/reply/", limited(limits.REPLY, limits.UPLOAD)(tickets.reply), name="reply"),
    path("tickets/<int:number>/note/", limited(limits.REPLY, limits.UPLOAD)(tickets.note), name="note"),
    path("tickets/<int:number>/verdict/", tickets.judge, name="judge"),
    path("tickets/<int:number>/solve/", limited(limits.REPLY, limits.UPLOAD)(tickets.solve), name="solve"),
    path("tickets/<int:number>/confirm/", tickets.confirm, name="confirm"),
    path("tickets/<int:number>/reopen/", limited(limits.REPLY, limits.UPLOAD)(tickets.reopen), name="reopen"),
    path("tickets/<int:number>/withdraw/", tickets.withdraw, name="withdraw"),
    path("tickets/<int:number>/claim/", queue.claim, name="claim"),
    path("tickets/<int:number>/give-back/", tickets.give_back, name="give_back"),
    path("tickets/<int:number>/hand-over/", tickets.hand_over, name="hand_over"),
    path("tickets/<int:number>/hand-over/withdraw/", tickets.withdraw_hand_over, name="withdraw_hand_over"),
    path("attachments/<int:pk>/", attachments.attachment, name="attachment"),
    path("attachments/<int:pk>/picture/", attachments.attachment_picture, name="attachment_picture"),
    path("attachments/<int:pk>/thumbnail/", attachments.attachment_thumbnail, name="attachment_thumbnail"),
    path("queue/", queue.queue, name="queue"),
    path("queue/offers/", queue.offers, name="offers"),
    path("offers/<int:pk>/", queue.offer, name="offer"),
    path("offers/<int:pk>/accept/", queue.accept_offer, name="accept_offer"),
    path("offers/<int:pk>/refuse/", queue.refuse_offer, name="refuse_offer"),
    path("offers/<str:token>/", queue.answer_offer, name="answer_offer"),
]
