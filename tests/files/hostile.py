"""Files that want to be more than they say: made here, so that nobody has to trust where they came from.

Each is `(name, bytes)`. What would run calls for `/ran-<what>`, which a test listens for. The bombs are small here and
unfold into gigabytes for whoever opens them without looking.
"""

import io
import struct
import zipfile
import zlib

from tests.files.samples import picture

RAN = "ran-"


def script(what):
    return f"new Image().src='/{RAN}{what}';fetch('/{RAN}{what}-too').catch(()=>0);try{{alert('{what}')}}catch(e){{}}"


def page(what):
    return f"<!doctype html><html><body><script>{script(what)}</script><p>{what}</p></body></html>".encode()


def svg(what):
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" onload="{script(what)}"><script>{script(what)}</script>'
        '<rect width="9" height="9"/></svg>'
    ).encode()


def styled_xml(what):
    """XML whose own style sheet makes a page with a script of it."""
    return f"""<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="#s"?>
<!DOCTYPE d [<!ATTLIST xsl:stylesheet id ID #REQUIRED>]>
<d><xsl:stylesheet id="s" version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"><xsl:template match="/">
<html><body><script>{script(what)}</script></body></html></xsl:template></xsl:stylesheet></d>""".encode()


def xhtml(what):
    return (
        f'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body><script>{script(what)}</script></body></html>'
    ).encode()


def gif_and_page(what):
    """A picture whose first bytes are a comment to a browser that reads it as a page."""
    return picture("GIF") + b"<!--" + b"-->" + page(what)


def png_and_page(what):
    return picture("PNG") + page(what)


def jpeg_with_comment(what):
    return picture("JPEG", comment=page(what))


def gif_and_archive():
    """GIFAR: a picture from its beginning, an archive from its end."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as inside:
        inside.writestr("META-INF/MANIFEST.MF", "Main-Class: Evil")
        inside.writestr("Evil.class", b"\xca\xfe\xba\xbe")
    return picture("GIF") + archive.getvalue()


def pdf(what):
    return f"""%PDF-1.7
1 0 obj<</Type/Catalog/Pages 2 0 R/OpenAction<</S/JavaScript/JS(app.alert('{what}'))>>>>endobj
2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj
3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj
trailer<</Root 1 0 R>>
%%EOF""".encode()


def mail_page(what):
    return b"MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n" + page(what)


def archive_that_climbs():
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as inside:
        inside.writestr("../../../../tmp/climbed", "up")
        inside.writestr("/etc/cron.d/climbed", "up")
    return archive.getvalue()


def deflated_nothing(megabytes):
    """Zeros, deflated: one flushed megabyte again and again is a stream too."""
    packer = zlib.compressobj(9, wbits=-15)
    one = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return one * megabytes + b"\x03\x00"


def gzip_bomb(megabytes=10_240):
    """Ten megabytes that unfold into ten gigabytes."""
    return b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + deflated_nothing(megabytes) + struct.pack("<LL", 0, 0)


def zip_bomb(megabytes=3_000):
    packed, name = deflated_nothing(megabytes), b"nothing"
    facts = struct.pack("<HHHHHLLLHH", 20, 0, 8, 0, 0, 0, len(packed), megabytes << 20, len(name), 0)
    local = b"PK\x03\x04" + facts + name
    central = b"PK\x01\x02\x14\x00" + facts + struct.pack("<HHHLL", 0, 0, 0, 0, 0) + name
    end = b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, 1, 1, len(central), len(local) + len(packed), 0)
    return local + packed + central + end


def png_chunk(kind, data):
    return struct.pack("!L", len(data)) + kind + data + struct.pack("!L", zlib.crc32(kind + data))


def png_bomb(side=50_000):
    """50,000 × 50,000 pixels in a few hundred kilobytes: two and a half gigabytes once decoded."""
    rows = zlib.compressobj(1)
    packed = b"".join(rows.compress(bytes(1 + side // 8)) for _ in range(side)) + rows.flush()
    head = struct.pack("!LLBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")


def gif_bomb(side=4_580, frames=20_000):
    """An animation of 20,000 frames, each of which is drawn on 21 million pixels."""
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
    frame = b"\x21\xf9\x04\x08\x01\x00\x00\x00\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return head + frame * frames + b"\x3b"


def webp_of(side=3_000):
    """The largest WebP we draw."""
    return picture("WEBP", size=(side, side), lossless=True)


def deep_png(side=4_580):
    """The largest PNG we draw, with an alpha channel."""
    row = b"\0" + bytes(range(256)) * (side * 4 // 256 + 1)
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(row[: 1 + side * 4]) for _ in range(side)) + packer.flush()
    head = struct.pack("!LLBBBBB", side, side, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")


def deepest_png(side=4_580):
    """The same with sixteen bits a channel."""
    row = b"\0" + bytes(range(256)) * (side * 8 // 256 + 1)
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(row[: 1 + side * 8]) for _ in range(side)) + packer.flush()
    head = struct.pack("!LLBBBBB", side, side, 16, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")


def text_chunks_png():
    """A small picture with a compressed comment that unfolds into two gigabytes."""
    comment = b"Comment\0\0" + zlib.compressobj(9).compress(b"") + _zlib_nothing(2_000)
    plain = picture("PNG")
    return plain[:33] + png_chunk(b"zTXt", comment) + plain[33:]


def _zlib_nothing(megabytes):
    return b"\x78\xda" + deflated_nothing(megabytes) + bytes(4)


def progressive_jpeg(side=(4_000, 3_000)):
    return picture("JPEG", size=side, progressive=True, quality=95, subsampling=0)


# In two halves, so that no scanner takes this file for it.
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"


def active():
    """What a browser would run if it were let."""
    return [
        ("page.html", page("html")),
        ("page.html.png", page("html-png")),
        ("page.png", page("png")),
        ("page", page("nameless")),
        ("page.htm;.jpg", page("semicolon")),
        ("page.xhtml", xhtml("xhtml")),
        ("drawing.svg", svg("svg")),
        ("drawing.png", svg("svg-png")),
        ("styled.xml", styled_xml("xslt")),
        ("polyglot.gif", gif_and_page("gif-polyglot")),
        ("polyglot.html", gif_and_page("gif-html")),
        ("polyglot.png", png_and_page("png-polyglot")),
        ("comment.jpg", jpeg_with_comment("jpeg-comment")),
        ("utf16.html", page("utf16").decode().encode("utf-16")),
        ("page.mhtml", mail_page("mhtml")),
        ("form.pdf", pdf("pdf")),
        ("gifar.gif", gif_and_archive()),
        ("report\u202egnp.html", page("bidi")),
        ("../../../static/js/site.js", page("path")),
        ("..\\..\\page.html", page("backslash")),
        ("nul\0.html", page("nul")),
        ("a.html\r\nContent-Type: text/html\r\n\r\n", page("header")),
        ('"><img src=x onerror=alert(1)>.html', page("markup")),
        ("climbs.zip", archive_that_climbs()),
        ("eicar.com", EICAR),
    ]


def bombs():
    """What costs whoever opens it without looking."""
    return [
        ("photo.jpg", picture("JPEG", size=(6_000, 4_000), quality=95, subsampling=0)),
        ("huge.png", png_bomb()),
        ("film.gif", gif_bomb()),
        ("largest.png", deep_png()),
        ("deepest.png", deepest_png()),
        ("largest.webp", webp_of()),
        ("largest.jpg", progressive_jpeg()),
        ("comment.png", text_chunks_png()),
        ("bomb.zip", zip_bomb()),
        ("bomb.gz", gzip_bomb()),
        ("cut.png", picture("PNG", size=(900, 900))[:300]),
        ("cut.jpg", picture("JPEG", size=(900, 900))[:2000]),
        ("cut.gif", picture("GIF", size=(900, 900))[:100]),
        ("cut.webp", picture("WEBP", size=(900, 900))[:60]),
    ]
