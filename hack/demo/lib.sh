# The steps of hack/demo.sh. To be sourced, from the root of the repository, after hack/lib.sh.
# shellcheck shell=bash

# How long both customers may take until they answer, in seconds.
readonly patience=600

# Where the environment for trying things, and the authorities' certificates, are put.
demo_dir=$(cache_dir demo)

devcluster() { go -C hack/devcluster run . "$@"; }

# say TEXT prints a line with the time since the demo began.
say() { printf '[%2d:%02d] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"; }

# begin TEXT prints the heading of a step.
begin() { echo; say "$*"; }

# restamp prints its input with the demo's time instead of other clocks.
restamp() {
  local line
  while IFS= read -r line; do
    if [[ $line =~ ^\[\ *[0-9]+s\]\ (.*) ]]; then line=${BASH_REMATCH[1]}; fi
    case $line in "export KUBECONFIG="*) continue ;; esac
    say "     $line"
  done
}

# install_operator installs or upgrades the chart. The annotation starts the operator anew when its program changed:
# the image keeps its name.
install_operator() {
  local program
  program=$(sha256sum "$(cache_dir images)/freehold" | cut -c1-16)
  helm upgrade --install freehold charts/freehold --namespace freehold-system --create-namespace \
    --wait --timeout 5m --hide-notes \
    --set images.manager.repository=localhost/freehold-manager,images.manager.tag=dev \
    --set images.postgres.repository=localhost/freehold-postgres,images.postgres.tag=dev \
    --set images.edge.repository=localhost/freehold-edge,images.edge.tag=dev \
    --set probe.interval=1m \
    --set 'cluster.networks={10.90.0.0/16,10.244.0.0/16,10.96.0.0/16}' \
    --set-string "podAnnotations.freehold\.dev/program=$program" | sed -n 1p
}

# condition TENANT TYPE FIELD prints a field of a condition; nothing if it is not there.
condition() { kubectl get tenant "$1" -o "jsonpath={.status.conditions[?(@.type==\"$2\")].$3}"; }

address() { kubectl get tenant "$1" -o 'jsonpath={.status.addresses[0]}'; }

hostname_of() { kubectl get tenant "$1" -o 'jsonpath={.spec.hostnames[0]}'; }

password() { kubectl get secret freehold-generated -n "tenant-$1" -o 'jsonpath={.data.admin-password}' | base64 -d; }

# client NAME COMMAND... runs a command at an address outside the cluster.
client() { local name=$1; shift; ip netns exec "dc-$name" "$@"; }

# await_tenant TENANT waits until the instance answers a client over HTTPS, and says meanwhile what it waits for.
await_tenant() {
  local tenant=$1 deadline=$((SECONDS + patience)) stalled=0 state last=
  while true; do
    # A mistake that is being mended is Stalled for a moment; one that lasts is not waited for.
    if [ -n "$(condition "$tenant" Stalled reason)" ]; then stalled=$((stalled + 1)); else stalled=0; fi
    [ $stalled -lt 10 ] || give_up "$tenant" "$(condition "$tenant" Stalled message)"
    if [ "$(condition "$tenant" Ready status)$(condition "$tenant" Available status)" = TrueTrue ] && answers "$tenant"; then
      break
    fi
    state=$(condition "$tenant" Ready message)
    if [ "$state" != "$last" ] && [ "$(condition "$tenant" Ready status)" != True ]; then say "     $tenant: ${state:-not looked at yet}"; last=$state; fi
    [ $SECONDS -lt $deadline ] || give_up "$tenant" "it does not answer after $patience s"
    sleep 1
  done
  say "     $tenant answers at $(kubectl get tenant "$tenant" -o 'jsonpath={.status.url}') ($(address "$tenant"))"
}

# await_proof TENANT waits until the tenant's walls are proven, and shows the evidence.
await_proof() {
  local tenant=$1 deadline=$((SECONDS + patience))
  until [ "$(condition "$tenant" Isolated status)" = True ]; do
    [ $SECONDS -lt $deadline ] || give_up "$tenant" "its walls are not proven after $patience s: $(condition "$tenant" Isolated message)"
    sleep 1
  done
  say "     $tenant: Isolated=True, of $(kubectl get tenant "$tenant" -o 'jsonpath={.status.proofs[?(@.condition=="Isolated")].observedAt}')"
  kubectl get tenant "$tenant" -o 'jsonpath={range .status.proofs[*].claims[*]}{.status}{"\t"}{.name}{"\t"}{.message}{"\n"}{end}' |
    while IFS=$'\t' read -r status name message; do printf '           %-7s %-18s %s\n' "$status" "$name" "$message"; done
}

# answers TENANT: the gate shows a certificate of the tenant's own authority, and the application is well.
answers() {
  local host
  host=$(hostname_of "$1")
  kubectl get configmap freehold-trust -n "tenant-$1" -o 'jsonpath={.data.ca\.crt}' >"$demo_dir/$1-ca.crt"
  client c10 curl -sf -m 5 -o /dev/null --cacert "$demo_dir/$1-ca.crt" --resolve "$host:443:$(address "$1")" "https://$host/healthcheck"
}

give_up() {
  echo
  kubectl describe tenant "$1" >&2 || true
  kubectl get pods,events -n "tenant-$1" >&2 || true
  echo "the Tenant $1 did not become what it should: $2" >&2
  exit 1
}

# write_environment makes the file that the guide begins with.
write_environment() {
  cat >"$demo_dir/env" <<ENV
# Made by make demo. To be sourced.
export KUBECONFIG=$KUBECONFIG PATH=$tools:\$PATH
# client NAME COMMAND... runs a command at an address outside the cluster: c10 is 198.19.0.10, c20 is 198.19.0.20.
client() { local name=\$1; shift; ip netns exec "dc-\$name" "\$@"; }
# ask NAME TENANT PATH [CURL-ARGUMENT...] is curl, as a client of a tenant that knows its name and trusts its authority.
ask() {
  local name=\$1 tenant=\$2 path=\$3 host address; shift 3
  host=\$(kubectl get tenant "\$tenant" -o 'jsonpath={.spec.hostnames[0]}')
  address=\$(kubectl get tenant "\$tenant" -o 'jsonpath={.status.addresses[0]}')
  client "\$name" curl -sS -m 10 -w '\\n' --cacert "$demo_dir/\$tenant-ca.crt" --resolve "\$host:443:\$address" "https://\$host\$path" "\$@"
}
ENV
}

print_guide() {
  local tenant host
  printf '\n%s\n' "-------------------------------------------------------------------------------"
  for tenant in acme globex; do
    host=$(hostname_of "$tenant")
    printf '%-8s %-28s at %-15s log in as admin / %s\n' "$tenant" "https://$host" "$(address "$tenant")" "$(password "$tenant")"
  done
  sed -e "s|@ENV@|$demo_dir/env|g" -e "s|@ACME@|$(address acme)|g" -e "s|@ACME_HOST@|$(hostname_of acme)|g" \
    -e "s|@ACME_CA@|$demo_dir/acme-ca.crt|g" -e "s|@ACME_PASSWORD@|$(password acme)|g" hack/demo/guide.txt
}
