# syntax=docker/dockerfile:1
# The three images of Freehold:
#
#   docker build --target manager  -t REGISTRY/freehold-manager:TAG  .   the operator
#   docker build --target postgres -t REGISTRY/freehold-postgres:TAG .   a tenant's database
#   docker build --target edge     -t REGISTRY/freehold-edge:TAG     .   a tenant's gate
#
# hack/images holds their package lists and users; the local cluster builds the same without Docker.

FROM golang:1.26-trixie AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS
ARG TARGETARCH
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags="-s -w" -o /out/freehold .

FROM scratch AS manager
COPY hack/images/manager/passwd hack/images/manager/group /etc/
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/freehold /usr/bin/freehold
ENV PATH=/usr/bin
USER 65532:65532
ENTRYPOINT ["/usr/bin/freehold"]

FROM debian:trixie-slim AS postgres
RUN --mount=type=bind,source=hack/images,target=/images sh /images/install.sh postgres
COPY --from=build /out/freehold /usr/bin/freehold
ENV PATH=/usr/lib/postgresql/17/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    LANG=C.UTF-8
USER 999:999

FROM debian:trixie-slim AS edge
RUN --mount=type=bind,source=hack/images,target=/images sh /images/install.sh edge
COPY --from=build /out/freehold /usr/bin/freehold
USER 997:997
