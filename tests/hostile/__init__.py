"""Input that means harm, through every door: texts, addresses, forms, requests and mail headers.

`payloads` has the texts; `pages` reads forms, fields and addresses out of a page. Whoever adds an export, an upload or
a part of a mail takes both from here.
"""
