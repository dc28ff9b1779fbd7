# One image for web, worker, beat and the commands of manage.py; docker-compose.yml says which runs where.
FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore

# A fixed number, so that a folder of the host can be made for it. It has a name because PostgreSQL, which a restore
# drill starts, asks for one.
RUN useradd --uid 10001 --create-home support && install -d -o support -g support -m 700 /files

WORKDIR /srv/support
COPY requirements.txt ./
RUN pip install --require-hashes -r requirements.txt

# What .dockerignore lets through. It stays root's: the programs read it and never change it.
COPY . ./
# The settings want these named; nothing of them stays in the image, and static files depend on none of them.
RUN DEPLOYMENT=production SECRET_KEY="$(python -c 'import secrets; print(secrets.token_urlsafe(64))')" \
    SITE_URL=https://build.invalid ALLOWED_HOSTS=build.invalid DATABASE_URL=postgresql:///none \
    REDIS_URL=redis://localhost:1 EMAIL_HOST=localhost DEFAULT_FROM_EMAIL=build@build.invalid FILES_DIR=/files \
    python manage.py collectstatic --noinput

USER support
VOLUME /files
EXPOSE 8000
