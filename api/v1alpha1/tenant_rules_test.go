// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	textMessage   = "may not hold control characters, line breaks, quotes, $, # or backslash; remove them"
	objectMessage = "must be the name of a Kubernetes object: lower-case letters, digits, hyphens and dots, beginning and ending with a letter or digit"
	hostMessage   = "must be a DNS name with at least one dot, such as shop.example.com: lower-case letters, digits and hyphens, at most 63 characters between dots, no wildcard, no port, no trailing dot"
	cidrMessage   = "must be an IPv4 network in CIDR notation such as 198.51.100.0/24; IPv6 is not supported yet"
	hostBits      = "has host bits set; write the network address, for example 198.51.100.0/24 instead of 198.51.100.7/24"
	ipMessage     = "must be an IPv4 address such as 198.51.100.7; IPv6 is not supported yet"
	ownSecret     = "names that begin with freehold- are Freehold's own Secrets and cannot be used here"
)

func TestTenantName(t *testing.T) {
	const message = "a Tenant's name becomes its namespace tenant-<name>: at most 56 characters, lower-case letters, digits and hyphens, no dots"
	created(t, tenant, []row{
		{"of 56 characters", "metadata.name", strings.Repeat("a", 56), ""},
		{"of 57 characters", "metadata.name", strings.Repeat("a", 57), message},
		{"of one character", "metadata.name", "a", ""},
		{"that begins with a digit", "metadata.name", "7eleven", ""},
		{"with a dot", "metadata.name", "acme.example", message},
	})
}

func TestTenantClassRef(t *testing.T) {
	created(t, tenant, []row{
		{"is there", "spec.classRef.name", "shop-2.large", ""},
		{"is left out", "spec.classRef", "", "spec.classRef: Required value"},
		{"has no name", "spec.classRef", "{}", "spec.classRef.name: Required value"},
		{"has an empty name", "spec.classRef.name", `""`, "spec.classRef.name in body should be at least 1 chars long"},
		{"has capitals", "spec.classRef.name", "Shop", objectMessage},
		{"ends with a hyphen", "spec.classRef.name", "shop-", objectMessage},
		{"is too long", "spec.classRef.name", strings.Repeat("a", 254), "may not be more than 253 bytes"},
	})
	updated(t, tenant, []change{
		{"may name another class later", "spec.classRef.name", "shop", "shop-large", ""},
	})
}

func TestTenantDisplayName(t *testing.T) {
	created(t, tenant, []row{
		{"of any language", "spec.displayName", "Größe & Söhne, 株式会社 (Köln)", ""},
		{"of 100 characters", "spec.displayName", strings.Repeat("é", 100), ""},
		{"of 101 characters", "spec.displayName", strings.Repeat("é", 101), "may not be more than 100 bytes"},
		{"with a line break", "spec.displayName", `"a\nb"`, textMessage},
		{"with a Unicode line break", "spec.displayName", `"a\u2028b"`, textMessage},
		{"with NUL", "spec.displayName", `"a\0b"`, textMessage},
		{"with an escape character", "spec.displayName", `"a\x1bb"`, textMessage},
		{"with a C1 control character", "spec.displayName", `"a\x85b"`, textMessage},
		{"with a double quote", "spec.displayName", `'a"b'`, textMessage},
		{"with a single quote", "spec.displayName", `"a'b"`, textMessage},
		{"with a dollar", "spec.displayName", `a$b`, textMessage},
		{"with a hash", "spec.displayName", `"a # b"`, textMessage},
		{"with a backslash", "spec.displayName", `'a\b'`, textMessage},
		{"that is empty", "spec.displayName", `""`, "should be at least 1 chars long"},
	})
}

func TestTenantHostnames(t *testing.T) {
	long := strings.Repeat("a", 63)
	created(t, tenant, []row{
		{"are two", "spec.hostnames", "[acme.example.com, www.acme.example.com]", ""},
		{"have labels of 63 characters", "spec.hostnames", fmt.Sprintf("[%s.example.com]", long), ""},
		{"are in Punycode", "spec.hostnames", "[xn--grsse-iva4m.example.com]", ""},
		{"are left out", "spec.hostnames", "", "spec.hostnames: Required value"},
		{"are none", "spec.hostnames", "[]", "should have at least 1 items"},
		{"are seventeen", "spec.hostnames", hosts(17), "must have at most 16 items"},
		{"are sixteen", "spec.hostnames", hosts(16), ""},
		{"repeat", "spec.hostnames", "[a.example.com, b.example.com, a.example.com]", "hostnames must not repeat"},
		{"have labels of 64 characters", "spec.hostnames", fmt.Sprintf("[%sa.example.com]", long), hostMessage},
		{"have no dot", "spec.hostnames", "[localhost]", hostMessage},
		{"have capitals", "spec.hostnames", "[Acme.example.com]", hostMessage},
		{"have a wildcard", "spec.hostnames", `["*.example.com"]`, hostMessage},
		{"have a trailing dot", "spec.hostnames", "[acme.example.com.]", hostMessage},
		{"have a port", "spec.hostnames", `["acme.example.com:443"]`, hostMessage},
		{"have an underscore", "spec.hostnames", "[ac_me.example.com]", hostMessage},
		{"have a blank", "spec.hostnames", `["acme.example.com evil"]`, hostMessage},
		{"have a line break", "spec.hostnames", `["acme.example.com\nevil.example.com"]`, hostMessage},
		{"end with a line break", "spec.hostnames", `["acme.example.com\n"]`, hostMessage},
		{"begin a label with a hyphen", "spec.hostnames", "[acme.-example.com]", hostMessage},
		{"are too long", "spec.hostnames", fmt.Sprintf("[%s]", strings.Repeat("a.", 127)+"com"), "may not be more than 253 bytes"},
	})
}

func hosts(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("h%d.example.com", i)
	}
	return "[" + strings.Join(names, ", ") + "]"
}

func TestTenantStage(t *testing.T) {
	created(t, tenant, []row{
		{"is Production", "spec.stage", "Production", ""},
		{"is Preprod", "spec.stage", "Preprod", ""},
		{"is unknown", "spec.stage", "Staging", `supported values: "Production", "Preprod"`},
	})
}

func TestTenantAccess(t *testing.T) {
	const (
		needs   = "access Restricted needs at least one network in allowedRanges; to let nobody in, use access Closed"
		useless = "allowedRanges only has a meaning with access Restricted; set access to Restricted or remove allowedRanges"
		outside = "each of deniedRanges must lie inside one of allowedRanges; what is not allowed need not be denied"
	)
	created(t, tenant, []row{
		{"is open", "spec.network", "{access: Open}", ""},
		{"is open without saying so", "spec.network", "{}", ""},
		{"is closed", "spec.network", "{access: Closed}", ""},
		{"is restricted to a network", "spec.network", "{access: Restricted, allowedRanges: [203.0.113.0/24]}", ""},
		{"is open but for a network", "spec.network", "{deniedRanges: [203.0.113.0/24]}", ""},
		{"is closed and denies", "spec.network", "{access: Closed, deniedRanges: [203.0.113.0/24]}", ""},
		{"denies inside what it allows", "spec.network", "{access: Restricted, allowedRanges: [198.51.100.0/24, 203.0.113.0/24], deniedRanges: [203.0.113.128/25]}", ""},
		{"denies all of what it allows", "spec.network", "{access: Restricted, allowedRanges: [203.0.113.0/24], deniedRanges: [203.0.113.0/24]}", ""},
		{"is unknown", "spec.network", "{access: Public}", `supported values: "Open", "Restricted", "Closed"`},
		{"is restricted to nothing", "spec.network", "{access: Restricted}", needs},
		{"is restricted to an empty list", "spec.network", "{access: Restricted, allowedRanges: []}", needs},
		{"is open and allows", "spec.network", "{access: Open, allowedRanges: [203.0.113.0/24]}", useless},
		{"is closed and allows", "spec.network", "{access: Closed, allowedRanges: [203.0.113.0/24]}", useless},
		{"is open by default and allows", "spec.network", "{allowedRanges: [203.0.113.0/24]}", useless},
		{"denies outside of what it allows", "spec.network", "{access: Restricted, allowedRanges: [203.0.113.0/24], deniedRanges: [198.51.100.0/24]}", outside},
		{"denies more than it allows", "spec.network", "{access: Restricted, allowedRanges: [203.0.113.0/24], deniedRanges: [203.0.112.0/23]}", outside},
		{"denies one inside, one outside", "spec.network", "{access: Restricted, allowedRanges: [203.0.113.0/24], deniedRanges: [203.0.113.0/25, 198.51.100.0/24]}", outside},
	})
}

func TestTenantRanges(t *testing.T) {
	for _, field := range []string{"allowedRanges", "deniedRanges"} {
		t.Run(field, func(t *testing.T) {
			base := strings.Replace(tenant, "spec:", "spec:\n  network: {access: Restricted, allowedRanges: [0.0.0.0/0]}", 1)
			path := "spec.network." + field
			created(t, base, []row{
				{"are a network", path, "[198.51.100.0/24]", ""},
				{"are everyone", path, "[0.0.0.0/0]", ""},
				{"are one address", path, "[198.51.100.7/32]", ""},
				{"are 64", path, ranges(64), ""},
				{"are 65", path, ranges(65), "must have at most 64 items"},
				{"repeat", path, "[198.51.100.0/24, 198.51.100.0/24]", "Duplicate value"},
				{"have host bits", path, "[198.51.100.7/24]", hostBits},
				{"lack the prefix length", path, "[198.51.100.7]", cidrMessage},
				{"are IPv6", path, `["2001:db8::/32"]`, cidrMessage},
				{"are long IPv6", path, `["2001:0db8:aaaa:bbbb:cccc:dddd:eeee:ff00/120"]`, cidrMessage},
				{"are everyone in IPv6", path, `["::/0"]`, cidrMessage},
				{"are IPv4 in IPv6", path, `["::ffff:198.51.100.0/120"]`, cidrMessage},
				{"have leading zeros", path, "[198.051.100.0/24]", cidrMessage},
				{"have a prefix that is too long", path, "[198.51.100.0/33]", cidrMessage},
				{"are a name", path, "[example.com]", cidrMessage},
				{"have a line break", path, `["198.51.100.0/24\n"]`, cidrMessage},
				{"are empty", path, `[""]`, "should be at least 1 chars long"},
			})
		})
	}
}

func ranges(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("10.%d.0.0/16", i)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func TestTenantAddress(t *testing.T) {
	created(t, tenant, []row{
		{"is IPv4", "spec.network.address", "198.51.100.7", ""},
		{"is IPv6", "spec.network.address", `"2001:db8::7"`, ipMessage},
		{"is long IPv6", "spec.network.address", `"2001:0db8:aaaa:bbbb:cccc:dddd:eeee:ffff"`, ipMessage},
		{"is a network", "spec.network.address", "198.51.100.0/24", ipMessage},
		{"is a name", "spec.network.address", "example.com", ipMessage},
		{"is empty", "spec.network.address", `""`, "should be at least 1 chars long"},
	})
}

func TestTenantTLS(t *testing.T) {
	const (
		both = "issuerRef and secretRef exclude each other: name the issuer that makes the certificate, or the Secret that holds it"
		kind = "kind must be ClusterIssuer or Issuer in group cert-manager.io; for an external issuer, name its group too"
	)
	created(t, tenant, []row{
		{"names an issuer", "spec.tls", "{issuerRef: {name: letsencrypt}}", ""},
		{"names an issuer of the namespace", "spec.tls", "{issuerRef: {name: letsencrypt, kind: Issuer}}", ""},
		{"names an external issuer", "spec.tls", "{issuerRef: {name: pca, kind: AWSPCAClusterIssuer, group: awspca.cert-manager.io}}", ""},
		{"names a Secret", "spec.tls", "{secretRef: {name: acme-tls}}", ""},
		{"demands TLS 1.3", "spec.tls", "{minVersion: TLSv1.3}", ""},
		{"names both", "spec.tls", "{issuerRef: {name: a}, secretRef: {name: b}}", both},
		{"names an issuer of an unknown kind", "spec.tls", "{issuerRef: {name: a, kind: Vault}}", kind},
		{"names a kind in lower case", "spec.tls", "{issuerRef: {name: a, kind: clusterIssuer, group: a.example.com}}", "must be a kind such as ClusterIssuer: letters and digits, beginning with a capital letter"},
		{"names a group with a slash", "spec.tls", "{issuerRef: {name: a, group: cert-manager.io/v1}}", "must be an API group such as cert-manager.io: a DNS name in lower case"},
		{"names an issuer with capitals", "spec.tls", "{issuerRef: {name: LetsEncrypt}}", objectMessage},
		{"names an issuer without a name", "spec.tls", "{issuerRef: {kind: Issuer}}", "spec.tls.issuerRef.name: Required value"},
		{"names a Secret without a name", "spec.tls", "{secretRef: {}}", "spec.tls.secretRef.name: Required value"},
		{"names a Secret with a slash", "spec.tls", "{secretRef: {name: default/acme}}", objectMessage},
		{"names Freehold's own Secret", "spec.tls", "{secretRef: {name: freehold-ca}}", ownSecret},
		{"allows TLS 1.1", "spec.tls", "{minVersion: TLSv1.1}", `supported values: "TLSv1.2", "TLSv1.3"`},
	})
}

func TestTenantDatabase(t *testing.T) {
	computeRows(t, tenant, "spec.database.compute")
	parameterRows(t, tenant, "spec.database.parameters")
	storageRows(t, tenant, "spec.database.storage", "storage", "256Mi", "255Mi")
	updated(t, tenant, []change{
		{"storage cannot be removed", "spec.database", "{storage: 10Gi}", "{}", "database.storage cannot be removed once it is set: a volume cannot be made smaller"},
		{"with storage cannot be removed", "spec.database", "{storage: 10Gi}", "", "database.storage cannot be removed once it is set: a volume cannot be made smaller"},
		{"without storage can be removed", "spec.database", "{compute: {cpu: 1}}", "", ""},
		{"storage can be set later", "spec.database", "", "{storage: 10Gi}", ""},
	})
}

func TestTenantApp(t *testing.T) {
	computeRows(t, tenant, "spec.app.compute")
	storageRows(t, tenant, "spec.app.storage", "storage", "1Mi", "1023Ki")
	updated(t, tenant, []change{
		{"storage cannot be removed", "spec.app", "{storage: 10Gi}", "{}", "app.storage cannot be removed once it is set: a volume cannot be made smaller"},
		{"with storage cannot be removed", "spec.app", "{storage: 10Gi}", "", "app.storage cannot be removed once it is set: a volume cannot be made smaller"},
		{"without storage can be removed", "spec.app", "{compute: {cpu: 1}}", "", ""},
	})
}

func TestTenantBootstrap(t *testing.T) {
	created(t, tenant, []row{
		{"adopts an instance", "spec.bootstrap", "{adopt: {instanceID: k7f2qx9m}}", ""},
		{"says nothing", "spec.bootstrap", "{}", ""},
		{"adopts without an ID", "spec.bootstrap", "{adopt: {}}", "spec.bootstrap.adopt.instanceID: Required value"},
		{"adopts something else", "spec.bootstrap", "{adopt: {instanceID: Not an ID}}", "is no instance ID; copy it from the message of the Stalled condition"},
		{"adopts a long ID", "spec.bootstrap", "{adopt: {instanceID: " + strings.Repeat("a", 64) + "}}", "may not be more than 63 bytes"},
	})
	updated(t, tenant, []change{
		{"may be added to a Tenant that is stalled", "spec.bootstrap", "", "{adopt: {instanceID: k7f2qx9m}}", ""},
	})
}

func TestTenantBackupPolicyRef(t *testing.T) {
	created(t, tenant, []row{
		{"is there", "spec.backupPolicyRef", "{name: nightly}", ""},
		{"has no name", "spec.backupPolicyRef", "{}", "spec.backupPolicyRef.name: Required value"},
		{"has an empty name", "spec.backupPolicyRef", `{name: ""}`, "should be at least 1 chars long"},
		{"has capitals", "spec.backupPolicyRef", "{name: Nightly}", objectMessage},
		{"has a slash", "spec.backupPolicyRef", "{name: default/nightly}", objectMessage},
	})
	updated(t, tenant, []change{
		{"may be added later", "spec.backupPolicyRef", "", "{name: nightly}", ""},
		{"may name another policy", "spec.backupPolicyRef", "{name: nightly}", "{name: hourly}", ""},
		{"may be removed", "spec.backupPolicyRef", "{name: nightly}", "", ""},
	})
}

func TestTenantBootstrapRestore(t *testing.T) {
	backedUp := strings.Replace(tenant, "spec:", "spec:\n  backupPolicyRef: {name: nightly}", 1)
	const path = "spec.bootstrap"
	created(t, backedUp, []row{
		{"from the latest backup", path, "{restore: {instanceID: k7f2qx9m}}", ""},
		{"from another tenant", path, "{restore: {instanceID: k7f2qx9m, tenant: globex}}", ""},
		{"without an ID", path, "{restore: {tenant: globex}}", "spec.bootstrap.restore.instanceID: Required value"},
		{"from an ID that is none", path, "{restore: {instanceID: ../k7f2qx9m}}", "is no instance ID; it stands in the other Tenant's status.instanceID and in the path of its backups"},
		{"from a long ID", path, "{restore: {instanceID: " + strings.Repeat("a", 64) + "}}", "may not be more than 63 bytes"},
		{"from a tenant that cannot be", path, "{restore: {instanceID: k7f2qx9m, tenant: a.b}}", "must be the name of a Tenant"},
		{"from a tenant with a long name", path, "{restore: {instanceID: k7f2qx9m, tenant: " + strings.Repeat("a", 57) + "}}", "may not be more than 56 bytes"},
		{"and adoption", path, "{adopt: {instanceID: k7f2qx9m}, restore: {instanceID: k7f2qx9m}}",
			"adopt and restore exclude each other: data that is still in the cluster is adopted, data that is only in backups is restored"},
	})
	targetRows(t, strings.Replace(backedUp, "spec:", "spec:\n  bootstrap: {restore: {instanceID: k7f2qx9m}}", 1), path+".restore.target")
	const needs = "bootstrap.restore needs backupPolicyRef, which says where the backups are; once the instance is filled, bootstrap.restore may be removed"
	created(t, tenant, []row{{"without a policy", path, "{restore: {instanceID: k7f2qx9m}}", needs}})
	updated(t, backedUp, []change{
		{"may be removed once the instance is filled", path, "{restore: {instanceID: k7f2qx9m}}", "", ""},
	})
}

func TestTenantUnknownField(t *testing.T) {
	object := with(t, parse(t, tenant), "spec.hostname", "acme.example.com")
	err := api.Create(context.Background(), object, client.DryRunAll, client.FieldValidation("Strict"))
	judge(t, `unknown field "spec.hostname"`, err)
}

func TestTenantDefaults(t *testing.T) {
	spec := stored(t, tenant)
	expect(t, spec, map[string]any{
		"stage":          "Production",
		"network.access": "Open",
		"tls.minVersion": "TLSv1.2",
	})
	if protection, set := spec["deletionProtection"]; set {
		t.Errorf("deletionProtection is %v: it has to stay unset, because its default follows the stage", protection)
	}
	issuer := stored(t, strings.Replace(tenant, "spec:", "spec:\n  tls: {issuerRef: {name: a}}", 1))
	expect(t, issuer, map[string]any{
		"tls.issuerRef.kind":  "ClusterIssuer",
		"tls.issuerRef.group": "cert-manager.io",
		"tls.minVersion":      "TLSv1.2",
	})
}

// stored is the spec as the API server would store it.
func stored(t *testing.T, text string) map[string]any {
	t.Helper()
	object := parse(t, text)
	if err := api.Create(context.Background(), object, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	return object.Object["spec"].(map[string]any)
}

func expect(t *testing.T, spec map[string]any, defaults map[string]any) {
	t.Helper()
	for path, want := range defaults {
		got, _, err := unstructured.NestedFieldNoCopy(spec, strings.Split(path, ".")...)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the default of %s is %v, documented is %v (%v)", path, got, want, err)
		}
	}
}
