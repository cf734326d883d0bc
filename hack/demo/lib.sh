# The steps of hack/demo.sh. To be sourced, from the root of the repository, after hack/lib.sh.
# shellcheck shell=bash

# How long customers may take until they answer, and until backups are proven, in seconds.
readonly patience=600

# Where the environment for trying things, the authorities' certificates and the offline key are put.
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
    --set probe.interval=1m,backups.evidenceInterval=30s \
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

# of FIELD prints a field of the JSON that it reads, which has one field in each line.
of() { sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}$/\1/p"; }

# in_object NAME prints the lines of an object inside of the JSON that it reads.
in_object() { sed -n "/^ *\"$1\": {/,/^ *}/p"; }

# site NAME FIELD prints what $sites, the list of the local cluster, knows of a backup site.
site() { sed -n "/\"name\": \"$1\"/,/^  }/p" <<<"$sites" | of "$2"; }

# admit_to_sites TENANT makes credentials for the tenant at both sites, two at each: one for the database pod, which cannot
# delete, and one for the Jobs that make backups and remove expired ones.
admit_to_sites() {
  local site made
  for site in s3-a s3-b; do
    made=$(devcluster site tenant "$site" "$1")
    keep_credentials "$site-$1" "$(in_object write <<<"$made")"
    keep_credentials "$site-$1-manage" "$(in_object manage <<<"$made")"
  done
}

# keep_credentials SECRET JSON puts an access key where the policy looks for it.
keep_credentials() {
  kubectl create secret generic "$1" -n freehold-system --dry-run=client -o yaml \
    --from-literal=accessKeyID="$(of accessKeyID <<<"$2")" --from-literal=secretAccessKey="$(of secretAccessKey <<<"$2")" |
    kubectl apply -f - | restamp
}

# make_policy makes a BackupPolicy of both sites. Keys are sealed for whoever holds the offline key, which is made here only
# because this is a demo.
make_policy() {
  local sites
  sites=$(devcluster site list)
  [ -e "$demo_dir/offline-key.txt" ] || go run filippo.io/age/cmd/age-keygen -o "$demo_dir/offline-key.txt" 2>/dev/null
  {
    cat <<POLICY
apiVersion: freehold.dev/v1alpha1
kind: BackupPolicy
metadata: {name: two-sites}
spec:
  schedule: {timeZone: UTC, start: "01:30"}
  verification:
    assertions:
    - {name: somebody-can-log-in, query: SELECT count(*) > 0 FROM users}
  keyEscrow:
    recipients: ["$(sed -n 's/^# public key: //p' "$demo_dir/offline-key.txt")"]
  destinations:
POLICY
    for site in s3-a s3-b; do destination "$site"; done
  } | kubectl apply -f - | restamp
}

# destination SITE prints a site as a policy names it.
destination() {
  cat <<DESTINATION
  - name: $1
    region: $(site "$1" region)
    networks: [$(site "$1" address)/32]
    credentials: {secretName: "$1-{tenant}", manageSecretName: "$1-{tenant}-manage"}
    s3:
      endpoint: $(site "$1" host)
      port: $(site "$1" port)
      bucket: $(site "$1" bucket)
      uriStyle: Path
      caBundle: |
$(sed 's/^/        /' "$(site "$1" caFile)")
DESTINATION
}

# await_recoverable TENANT waits until a backup of each site was restored and found good, and says meanwhile what it waits for.
await_recoverable() {
  local tenant=$1 deadline=$((SECONDS + patience)) state last=
  until [ "$(condition "$tenant" Recoverable status)" = True ]; do
    [ $SECONDS -lt $deadline ] || give_up "$tenant" "its backups are not proven after $patience s: $(condition "$tenant" Recoverable message)"
    state=$(condition "$tenant" Recoverable message)
    if [ "$state" != "$last" ]; then say "     $tenant: ${state:-not looked at yet}"; last=$state; fi
    sleep 1
  done
}

# await_window TENANT waits until each site holds a moment after its first backup: a minute at most.
await_window() {
  local deadline=$((SECONDS + patience)) empty=yes
  while [ -n "$empty" ]; do
    [ $SECONDS -lt $deadline ] || give_up "$1" "a site holds no moment after its first backup after $patience s: $(condition "$1" PointInTimeRecoverable message)"
    sleep 1
    empty=$(kubectl get tenant "$1" -o 'jsonpath={range .status.backups.destinations[*]}{.recoverableFrom} {.recoverableUntil}{"\n"}{end}' | awk '$2 <= $1')
  done
}

# show_backups TENANT prints what can be restored, and how long that took when it was tried.
show_backups() {
  local name from until seconds
  say "     $1: Recoverable=True: $(condition "$1" Recoverable message)"
  kubectl get tenant "$1" -o 'jsonpath={range .status.backups.destinations[*]}{.name}{"\t"}{.recoverableFrom}{"\t"}{.recoverableUntil}{"\t"}{.recoverySeconds}{"\n"}{end}' |
    while IFS=$'\t' read -r name from until seconds; do
      printf '           %-6s holds every moment from %s to %s; a recovery took %s s\n' "$name" "$from" "$until" "$seconds"
    done
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
# sql TENANT STATEMENT runs it in the tenant's database, as the tenant's application may.
sql() { kubectl exec -n "tenant-\$1" db-0 -c postgres -- sh -c 'exec psql "\$(cat /etc/freehold/credentials/url)" -c "\$1"' psql "\$2"; }
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
