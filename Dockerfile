# One build, one static executable, three names: the command of a container says which of the programs it runs.

FROM rust:1.95-bookworm AS build

# A C compiler for musl, which some dependencies need. No version is pinned, since Debian keeps only the newest one and a
# pinned one soon stops to build.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends musl-tools \
 && rm -rf /var/lib/apt/lists/* \
 && rustup target add "$(uname -m)-unknown-linux-musl"
ENV TARGET_CC=musl-gcc

WORKDIR /source
COPY . .

# The caches outlive the build. Cargo goes by the times of files, and what is cached may come from a newer checkout
# than this one, so every file is made new. The certificate authorities are for TLS to the database.
RUN --mount=type=cache,id=order-food-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=order-food-target,target=/source/target \
    target=$(uname -m)-unknown-linux-musl \
 && find . -path ./target -prune -o -type f -exec touch {} + \
 && cargo build --release --locked --package multicall --target "$target" \
 && mkdir -p /out/usr/local/bin /out/etc/ssl/certs \
 && cp "target/$target/release/order-food-tools" /out/usr/local/bin/database-migration \
 && ln -s database-migration /out/usr/local/bin/database-load \
 && ln -s database-migration /out/usr/local/bin/order-food \
 && cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/

FROM scratch

ARG REVISION=unknown
LABEL org.opencontainers.image.title="order-food" \
      org.opencontainers.image.description="A food-ordering API with its database migrations and its data" \
      org.opencontainers.image.revision="$REVISION"

COPY --from=build /out/ /
USER 65532:65532
EXPOSE 8080
CMD ["/usr/local/bin/order-food"]
