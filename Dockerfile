# The image: one static binary and nothing else.
#
#	docker build -t pgpool .
#	docker run -p 9999:9999 -e PGPOOL_PARAMS_BACKEND_HOSTNAME0=db -e APP_USERNAME=app -e APP_PASSWORD=secret pgpool
#
# It replaces Pgpool-II's image: it takes PGPOOL_PARAMS_* and *_USERNAME/*_PASSWORD variables, or files
# mounted below /config, and needs no writable file system.  Without arguments it stays in the foreground
# and logs to stderr; `docker exec NAME /pgpool reload` reloads its files, `show-conf` prints them.

FROM debian:bookworm-slim AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev libbearssl-dev make musl-tools \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN make pgpool \
 && ! readelf -lW pgpool | grep INTERP \
 && strip -o /pgpool pgpool

FROM scratch
COPY --from=build /pgpool /pgpool
# Numeric: the image has no /etc/passwd.  65534 is nobody.
USER 65534:65534
EXPOSE 9999 9898
ENTRYPOINT ["/pgpool"]
