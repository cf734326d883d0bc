#!/usr/bin/env bash
# How long it takes from a Tenant applied until its application answers over HTTPS, against the very same objects
# applied by hand: test/bench/start.sh [ROUNDS]. It needs the local cluster with the operator (make demo) and leaves
# it as it was.
#
# Both ways alternate, because a machine has faster and slower minutes. The objects "by hand" are those that Freehold
# made in the first round, without what a new object cannot carry; the namespace has the same name, since the
# certificates speak of it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source hack/lib.sh

rounds=${1:-5}
# Of the local cluster's pool, far from the addresses that it gives out first.
readonly tenant=bench host=bench.example.com address=198.18.0.240 patience=300
namespace=tenant-$tenant

need_programs jq:jq curl:curl
tools=$(hack/tools/build.sh kubernetes)
KUBECONFIG=$(go -C hack/devcluster run . kubeconfig)
export KUBECONFIG PATH=$tools:$PATH
work=$(mktemp -d)
trap 'clear_away >/dev/null 2>&1; kubectl delete tenantclass bench --ignore-not-found >/dev/null; rm -rf "$work"' EXIT

# class is the sample's, with fixed addresses; customer is a Tenant of it.
class() {
  kubectl kustomize hack/demo | kubectl create --dry-run=client -o json -f - |
    jq 'select(.kind == "TenantClass") | .metadata = {name: "bench"} | .spec.loadBalancer.addressAnnotation = "metallb.io/loadBalancerIPs"'
}

customer() {
  jq -n --arg name "$tenant" --arg host "$host" --arg address "$address" '{
    apiVersion: "freehold.dev/v1alpha1", kind: "Tenant", metadata: {name: $name},
    spec: {classRef: {name: "bench"}, hostnames: [$host], stage: "Preprod", network: {address: $address}}}'
}

# export_objects prints what Freehold made, as a list of new objects in the order in which it made them.
export_objects() {
  kubectl get namespace "$namespace" -o json
  local kind
  for kind in resourcequota limitrange networkpolicy serviceaccount secret configmap service persistentvolumeclaim poddisruptionbudget statefulset deployment; do
    kubectl get "$kind" -n "$namespace" -l "freehold.dev/tenant=$tenant" -o json | jq '.items[]'
  done
}

# stripped removes what the API server and controllers add. The database has to be a new one.
stripped() {
  jq -s '{apiVersion: "v1", kind: "List", items: [.[]
    | del(.status, .metadata["uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "finalizers"])
    | del(.metadata.annotations["pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller",
        "volume.kubernetes.io/selected-node", "volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner",
        "deployment.kubernetes.io/revision", "metallb.io/ip-allocated-from-pool"]?)
    | if .kind == "PersistentVolumeClaim" then del(.spec.volumeName)
      elif .kind == "Namespace" then del(.spec)
      elif .kind == "Service" and .spec.clusterIP != "None" then del(.spec["clusterIP", "clusterIPs", "healthCheckNodePort"])
      elif .kind == "ConfigMap" and .metadata.name == "freehold-instance" then .data.initialized = "false"
      else . end]}'
}

# until_answers prints the seconds from now until the application answers a client outside.
until_answers() {
  local began=$1 deadline=$((SECONDS + patience))
  until ip netns exec dc-c10 curl -skf -o /dev/null --connect-timeout 0.5 -m 2 --resolve "$host:443:$address" "https://$host/healthcheck"; do
    if [ $SECONDS -ge $deadline ]; then
      kubectl get pods,services -n "$namespace" >&2
      echo "no answer within $patience s" >&2
      return 1
    fi
    sleep 0.1
  done
  awk -v began="$began" -v now="$(date +%s.%N)" 'BEGIN { printf "%.1f\n", now - began }'
}

# clear_away removes the instance with its volume and keys.
clear_away() {
  local id volumes
  id=$(kubectl get namespace "$namespace" -o 'jsonpath={.metadata.labels.freehold\.dev/instance}' --ignore-not-found)
  volumes=$(kubectl get pvc -n "$namespace" -o 'jsonpath={.items[*].spec.volumeName}')
  kubectl delete tenant "$tenant" --ignore-not-found
  break_glass delete namespace "$namespace" --ignore-not-found
  if [ -n "$volumes" ]; then
    # Freehold has set them to Retain; those made by hand go by themselves.
    # shellcheck disable=SC2086 # a list of names.
    kubectl patch pv $volumes --type=merge -p '{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}' 2>/dev/null || true
  fi
  if [ -n "$id" ]; then break_glass delete secret -n freehold-system "instance-$id" --ignore-not-found; fi
}

# break_glass does with kubectl what only Freehold may do otherwise.
break_glass() { kubectl --as=bench --as-group=freehold:break-glass --as-group=system:masters "$@"; }

median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

clear_away >"$work/log" 2>&1
class | kubectl apply -f - >"$work/log"
customer >"$work/tenant.json"
printf '%-6s %14s %14s\n' round "Tenant" "by hand"
for round in $(seq "$rounds"); do
  began=$(date +%s.%N)
  kubectl create -f "$work/tenant.json" >"$work/log"
  until_answers "$began" >>"$work/tenant"
  if [ "$round" = 1 ]; then
    kubectl wait --for=condition=Ready "tenant/$tenant" --timeout=120s >"$work/log"
    export_objects | stripped >"$work/objects.json"
  fi
  clear_away >"$work/log"

  began=$(date +%s.%N)
  break_glass create -f "$work/objects.json" >"$work/log"
  until_answers "$began" >>"$work/hand"
  clear_away >"$work/log"
  printf '%-6s %12s s %12s s\n' "$round" "$(tail -1 "$work/tenant")" "$(tail -1 "$work/hand")"
done
a=$(median <"$work/tenant") b=$(median <"$work/hand")
printf '%-6s %12s s %12s s   ratio %s (goal: at most 1.2)\n' median "$a" "$b" "$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.2f", a / b }')"
