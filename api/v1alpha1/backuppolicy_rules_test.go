// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const policy = `
apiVersion: freehold.dev/v1alpha1
kind: BackupPolicy
metadata: {name: nightly}
spec:
  schedule: {timeZone: Europe/Vienna, start: "01:30"}
  destinations:
  - name: site-a
    region: eu-central-1
    networks: [198.51.100.0/24]
    credentials: {secretName: "site-a-{tenant}"}
    s3: {endpoint: s3.example.com, bucket: backups}
`

const (
	destinationMessage = "must be a short name such as site-a: at most 20 lower-case letters, digits and hyphens, beginning with a letter"
	serverMessage      = "must be a host such as s3.eu-central-1.example.com: a DNS name in lower case or an IPv4 address, without scheme, port or path"
	prefixMessage      = "must be a path such as backups/production: letters, digits and - _ . between slashes, none at the beginning or end"
	zoneMessage        = "must be the name of a time zone such as Europe/Vienna or UTC"
	networksMessage    = "networks say where a destination outside of the cluster answers from: set them for every kind but a volume, which is reached inside the tenant's namespace"
	credentialsMessage = "credentials are needed to come into a destination, and a volume has none: set them for every other kind, and for that not"
	left               = "what is stored there would be neither found nor removed any more; add a destination under another name"
)

const fingerprint = "SHA256:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"

// The kinds of destinations, in their shortest form.
const (
	inS3    = "s3: {endpoint: s3.example.com, bucket: backups}"
	inGCS   = "gcs: {bucket: backups}"
	inAzure = "azure: {account: example, container: backups}"
	inSFTP  = `sftp: {host: sftp.example.com, user: "{tenant}", hostKeyFingerprint: "` + fingerprint + `"}`
)

// destination is one of a policy, in YAML.
func destination(name, kind string) string {
	return fmt.Sprintf(`{name: %s, region: eu-1, networks: [198.51.100.0/24], credentials: {secretName: "%s-{tenant}"}, %s}`, name, name, kind)
}

func destinations(all ...string) string { return "[" + strings.Join(all, ", ") + "]" }

// withDestination sets a field of the policy's only destination.
func withDestination(t *testing.T, object *unstructured.Unstructured, path, value string) *unstructured.Unstructured {
	t.Helper()
	list, _, err := unstructured.NestedSlice(object.Object, "spec", "destinations")
	if err != nil {
		t.Fatal(err)
	}
	only := with(t, &unstructured.Unstructured{Object: list[0].(map[string]any)}, path, value)
	if err := unstructured.SetNestedSlice(object.Object, []any{only.Object}, "spec", "destinations"); err != nil {
		t.Fatal(err)
	}
	return object
}

// destinationRows sends each row as a policy with one destination, which differs from the minimal one at one path.
func destinationRows(t *testing.T, kind string, rows []row) {
	t.Helper()
	base := with(t, parse(t, policy), "spec.destinations", destinations(destination("site-a", kind)))
	for _, r := range rows {
		t.Run(r.name, func(t *testing.T) {
			judge(t, r.refused, api.Create(t.Context(), withDestination(t, base.DeepCopy(), r.path, r.value), client.DryRunAll))
		})
	}
}

// destinationChanges stores a policy with one destination of a kind, and sends it with another in its place.
func destinationChanges(t *testing.T, rows []change) {
	t.Helper()
	for i := range rows {
		rows[i].path = "spec.destinations"
		rows[i].before, rows[i].after = destinations(destination("site-a", rows[i].before)), destinations(destination("site-a", rows[i].after))
	}
	updated(t, policy, rows)
}

func TestPolicyDestinations(t *testing.T) {
	const (
		one  = "exactly one of s3, gcs, azure, sftp and volume must be set"
		same = "two destinations store in the same place; each needs one of its own"
		path = "spec.destinations"
	)
	created(t, policy, []row{
		{"is one", path, destinations(destination("site-a", inS3)), ""},
		{"are one of each kind", path, destinations(destination("a", inS3), destination("b", inGCS), destination("c", inAzure), destination("d", inSFTP)), ""},
		{"are five", path, destinations(destination("a", inS3), destination("b", inGCS), destination("c", inAzure), destination("d", inSFTP), destination("e", "gcs: {bucket: more}")),
			"must have at most 4 items"},
		{"are none", path, "[]", "should have at least 1 items"},
		{"are left out", path, "", "spec.destinations: Required value"},
		{"share a name", path, destinations(destination("a", inS3), destination("a", inGCS)), "Duplicate value"},
		{"is of no kind", path, "[{name: a, networks: [198.51.100.0/24], credentials: {secretName: 'a-{tenant}'}}]", one},
		{"is of two kinds", path, destinations(destination("a", inS3+", "+inGCS)), one},
		{"are a bucket and a volume", path, destinations(destination("a", inS3), onVolume("b", "size: 10Gi")), ""},
		{"are two volumes and a bucket", path, destinations(onVolume("a", "size: 10Gi"), destination("b", inS3), onVolume("c", "size: 10Gi")), ""},
		{"is a bucket and a volume at once", path, destinations(destination("a", inS3+", volume: {size: 10Gi}")), one},
		{"are two buckets of a server", path, destinations(destination("a", inS3), destination("b", "s3: {endpoint: s3.example.com, bucket: others}")), ""},
		{"are two prefixes of a bucket", path, destinations(destination("a", inS3), destination("b", "s3: {endpoint: s3.example.com, bucket: backups, prefix: b}")), ""},
		{"are two servers", path, destinations(destination("a", inS3), destination("b", "s3: {endpoint: s3.example.net, bucket: backups}")), ""},
		{"are two ports of a server", path, destinations(destination("a", inS3), destination("b", "s3: {endpoint: s3.example.com, port: 7443, bucket: backups}")), ""},
		{"are one bucket twice", path, destinations(destination("a", inS3), destination("b", inS3)), same},
		{"are one bucket twice, once with the port", path, destinations(destination("a", inS3), destination("b", "s3: {endpoint: s3.example.com, port: 443, bucket: backups}")), same},
		{"are one bucket twice and another", path, destinations(destination("a", inGCS), destination("b", inS3), destination("c", inGCS)), same},
		{"are one container twice", path, destinations(destination("a", inAzure), destination("b", inAzure)), same},
		{"are one directory twice", path, destinations(destination("a", inSFTP), destination("b", inSFTP)), same},
		{"are two users of a server", path, destinations(destination("a", inSFTP), destination("b", strings.Replace(inSFTP, "{tenant}", "other-{tenant}", 1))), ""},
	})
}

func TestPolicyDestinationName(t *testing.T) {
	destinationRows(t, inS3, []row{
		{"of one letter", "name", "a", ""},
		{"of 20 characters", "name", strings.Repeat("a", 20), ""},
		{"of 21 characters", "name", strings.Repeat("a", 21), "may not be more than 20 bytes"},
		{"with capitals", "name", "Site", destinationMessage},
		{"that begins with a digit", "name", "1site", destinationMessage},
		{"that ends with a hyphen", "name", "site-", destinationMessage},
		{"with a dot", "name", "site.a", destinationMessage},
		{"with a slash", "name", "site/a", destinationMessage},
		{"that ends with a line break", "name", `"site\n"`, destinationMessage},
		{"that is empty", "name", `""`, "should be at least 1 chars long"},
		{"that is left out", "name", "", "name: Required value"},
	})
}

func TestPolicyDestinationRegion(t *testing.T) {
	destinationRows(t, inS3, []row{
		{"of AWS", "region", "us-gov-east-1", ""},
		{"with a line break", "region", `"eu\nrepo1-path=/"`, "must be a region such as eu-central-1: letters, digits and hyphens"},
		{"with a slash", "region", "eu/1", "must be a region such as eu-central-1: letters, digits and hyphens"},
		{"that is left out", "region", "", "an s3 destination needs a region: requests are signed for it"},
	})
	destinationRows(t, inSFTP, []row{{"is of no use elsewhere", "region", "", ""}})
}

func TestPolicyDestinationNetworks(t *testing.T) {
	destinationRows(t, inS3, []row{
		{"are two", "networks", "[198.51.100.0/24, 198.18.0.0/15]", ""},
		{"are everywhere", "networks", "[0.0.0.0/0]", ""},
		{"are none", "networks", "[]", "should have at least 1 items"},
		{"are left out", "networks", "", networksMessage},
		{"are thirty-two", "networks", ranges(32), ""},
		{"are thirty-three", "networks", ranges(33), "must have at most 32 items"},
		{"repeat", "networks", "[198.51.100.0/24, 198.51.100.0/24]", "Duplicate value"},
		{"have host bits", "networks", "[198.51.100.7/24]", hostBits},
		{"are IPv6", "networks", `["2001:db8::/32"]`, cidrMessage},
		{"are a name", "networks", "[s3.example.com]", cidrMessage},
	})
}

func TestPolicyCredentials(t *testing.T) {
	const (
		own       = "secretName must hold {tenant}, so that each tenant has credentials of its own; to let all tenants share one, which lets each reach the others' backups, set allowShared"
		ownManage = "manageSecretName must hold {tenant}, so that each tenant has credentials of its own; to let all tenants share one, which lets each reach the others' backups, set allowShared"
		template  = "must be the name of a Secret, in which {tenant} stands for the Tenant's name, such as site-a-{tenant}"
		reserved  = "names that begin with instance-, backup- or freehold- are Freehold's own Secrets and cannot be used here"
	)
	destinationRows(t, inS3, []row{
		{"of each tenant", "credentials", `{secretName: "a-{tenant}"}`, ""},
		{"of each tenant, with dots", "credentials", `{secretName: "{tenant}.site-a.write"}`, ""},
		{"of each tenant, two", "credentials", `{secretName: "a-{tenant}", manageSecretName: "a-manage-{tenant}"}`, ""},
		{"that are shared, and that is said", "credentials", `{secretName: site-a, manageSecretName: site-a-manage, allowShared: true}`, ""},
		{"that are shared", "credentials", `{secretName: site-a}`, own},
		{"that are shared, and that is denied", "credentials", `{secretName: site-a, allowShared: false}`, own},
		{"that are shared where they can delete", "credentials", `{secretName: "a-{tenant}", manageSecretName: site-a}`, ownManage},
		{"with another word in braces", "credentials", `{secretName: "a-{name}-{tenant}"}`, template},
		{"with an open brace", "credentials", `{secretName: "a-{tenant}-{"}`, template},
		{"with a slash", "credentials", `{secretName: "default/a-{tenant}"}`, template},
		{"with capitals", "credentials", `{secretName: "A-{tenant}"}`, template},
		{"with a line break", "credentials", `{secretName: "a-{tenant}\n"}`, template},
		{"with the tenant twice", "credentials", `{secretName: "{tenant}-{tenant}"}`, "may hold {tenant} once"},
		{"of 181 characters", "credentials", `{secretName: "{tenant}` + strings.Repeat("a", 173) + `"}`, "may not be more than 180 bytes"},
		{"that are the instance's own keys", "credentials", `{secretName: "instance-{tenant}"}`, reserved},
		{"that are the keys of backups", "credentials", `{secretName: "backup-{tenant}"}`, reserved},
		{"that are Freehold's", "credentials", `{secretName: "a-{tenant}", manageSecretName: "freehold-{tenant}"}`, reserved},
		{"that are left out", "credentials", "", credentialsMessage},
		{"without a name", "credentials", "{}", "secretName: Required value"},
	})
}

func TestPolicyS3(t *testing.T) {
	const bucket = "must be the name of a bucket: lower-case letters, digits, hyphens and dots; {tenant} stands for the Tenant's name"
	const address = "an endpoint that is an IP address needs uriStyle Path: a bucket's name cannot stand in front of it"
	destinationRows(t, inS3, []row{
		{"endpoint with one word", "s3.endpoint", "minio", ""},
		{"endpoint with a long label", "s3.endpoint", strings.Repeat("a", 63) + ".example.com", ""},
		{"endpoint with a label that is too long", "s3.endpoint", strings.Repeat("a", 64) + ".example.com", serverMessage},
		{"endpoint with a scheme", "s3.endpoint", "https://s3.example.com", serverMessage},
		{"endpoint with a port", "s3.endpoint", `"s3.example.com:443"`, serverMessage},
		{"endpoint with a path", "s3.endpoint", "s3.example.com/backups", serverMessage},
		{"endpoint with capitals", "s3.endpoint", "S3.example.com", serverMessage},
		{"endpoint with a line break", "s3.endpoint", `"s3.example.com\nrepo1-path=/"`, serverMessage},
		{"endpoint that ends with a line break", "s3.endpoint", `"s3.example.com\n"`, serverMessage},
		{"endpoint that is left out", "s3.endpoint", "", "endpoint: Required value"},
		{"endpoint that is an address, in the path's style", "s3", "{endpoint: 198.51.100.7, bucket: backups, uriStyle: Path}", ""},
		{"endpoint that is an address", "s3.endpoint", "198.51.100.7", address},
		{"port of its own", "s3.port", "7443", ""},
		{"port that is none", "s3.port", "65536", "should be less than or equal to 65535"},
		{"port zero", "s3.port", "0", "should be greater than or equal to 1"},
		{"bucket of each tenant", "s3.bucket", `"backups-{tenant}"`, ""},
		{"bucket that is the tenant", "s3.bucket", `"{tenant}"`, ""},
		{"bucket with an underscore", "s3.bucket", "back_ups", bucket},
		{"bucket with a slash", "s3.bucket", "backups/a", bucket},
		{"bucket with another word in braces", "s3.bucket", `"backups-{name}"`, bucket},
		{"bucket with a line break", "s3.bucket", `"backups\n"`, bucket},
		{"bucket of two characters", "s3.bucket", "ab", "should be at least 3 chars long"},
		{"bucket that is left out", "s3.bucket", "", "bucket: Required value"},
		{"prefix", "s3.prefix", "production/eu_1.old", ""},
		{"prefix with a slash at the beginning", "s3.prefix", "/production", prefixMessage},
		{"prefix with a slash at the end", "s3.prefix", "production/", prefixMessage},
		{"prefix with an empty part", "s3.prefix", "a//b", prefixMessage},
		{"prefix that climbs", "s3.prefix", "a/../b", prefixMessage},
		{"prefix that stays", "s3.prefix", "a/./b", prefixMessage},
		{"prefix with a blank", "s3.prefix", "a b", prefixMessage},
		{"prefix with a line break", "s3.prefix", `"a\nrepo1-cipher-type=none"`, prefixMessage},
		{"prefix with a tenant", "s3.prefix", `"{tenant}"`, prefixMessage},
		{"style of the path", "s3.uriStyle", "Path", ""},
		{"style that is unknown", "s3.uriStyle", "path", `supported values: "VirtualHost", "Path"`},
		{"authorities", "s3.caBundle", `"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"`, ""},
		{"authorities that are a path", "s3.caBundle", "/etc/ssl/ca.crt", "must hold certificates in PEM"},
		{"authorities with a private key", "s3.caBundle", `"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\nMHcC\n"`,
			"holds a private key, which everybody who may read the policy could read; only certificates belong here"},
	})
}

func TestPolicyGCSAndAzure(t *testing.T) {
	destinationRows(t, inGCS, []row{
		{"bucket with an underscore", "gcs.bucket", "back_ups", ""},
		{"bucket of each tenant", "gcs.bucket", `"backups-{tenant}"`, ""},
		{"bucket with capitals", "gcs.bucket", "Backups", "must be the name of a bucket: lower-case letters, digits and - _ . ; {tenant} stands for the Tenant's name"},
		{"prefix that climbs", "gcs.prefix", "../other", prefixMessage},
	})
	destinationRows(t, inAzure, []row{
		{"container of each tenant", "azure.container", `"backups-{tenant}"`, ""},
		{"container with a dot", "azure.container", "back.ups", "must be the name of a container: lower-case letters, digits and hyphens; {tenant} stands for the Tenant's name"},
		{"account with a hyphen", "azure.account", "ex-ample", "must be the name of a storage account: lower-case letters and digits"},
		{"account that is left out", "azure.account", "", "account: Required value"},
		{"prefix that climbs", "azure.prefix", "..", prefixMessage},
	})
}

func TestPolicySFTP(t *testing.T) {
	const (
		user = "must be the name of a user: lower-case letters, digits and - _ . ; {tenant} stands for the Tenant's name"
		key  = "must be a fingerprint as ssh-keygen -lf prints it: SHA256: and 43 characters"
	)
	destinationRows(t, inSFTP, []row{
		{"user of each tenant", "sftp.user", `"backup-{tenant}"`, ""},
		{"user with a blank", "sftp.user", "back up", user},
		{"user with an at sign", "sftp.user", "root@elsewhere", user},
		{"user with a line break", "sftp.user", `"backup\nrepo1-path=/"`, user},
		{"host that is an address", "sftp.host", "198.51.100.7", ""},
		{"host with a user", "sftp.host", "root@sftp.example.com", serverMessage},
		{"port", "sftp.port", "2222", ""},
		{"path", "sftp.path", "srv/backups", ""},
		{"path from the root", "sftp.path", "/srv/backups", prefixMessage},
		{"host key", "sftp.hostKeyFingerprint", `"SHA256:+/cdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"`, ""},
		{"host key in the old form", "sftp.hostKeyFingerprint", `"MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:4"`, key},
		{"host key with padding", "sftp.hostKeyFingerprint", `"` + fingerprint + `="`, "may not be more than 50 bytes"},
		{"host key of another length", "sftp.hostKeyFingerprint", `"SHA256:abc"`, "should be at least 50 chars long"},
		{"host key that is left out", "sftp.hostKeyFingerprint", "", "hostKeyFingerprint: Required value"},
	})
}

// onVolume is a destination that is a volume, in YAML.
func onVolume(name, fields string) string {
	return fmt.Sprintf("{name: %s, volume: {%s}}", name, fields)
}

func TestPolicyVolume(t *testing.T) {
	const (
		path  = "spec.destinations"
		alone = "what applications keep on volumes of their own is not backed up to a volume: name a destination of another kind, too, or set applicationData to Skip"
	)
	beside := func(fields string) string { return destinations(destination("a", inS3), onVolume("b", fields)) }
	created(t, policy, []row{
		{"of a class", path, beside("size: 10Gi, storageClassName: fast.replicated"), ""},
		{"of a number of bytes", path, beside("size: 1073741824"), ""},
		{"too small for anything", path, beside("size: 255Mi"), "size must be at least 256Mi"},
		{"of no size", path, beside("storageClassName: fast"), "size: Required value"},
		{"of a class with capitals", path, beside("size: 10Gi, storageClassName: Fast"), "must be the name of a StorageClass"},
		{"with credentials", path, destinations(destination("a", inS3), `{name: b, volume: {size: 10Gi}, credentials: {secretName: "b-{tenant}"}}`), credentialsMessage},
		{"with networks", path, destinations(destination("a", inS3), "{name: b, volume: {size: 10Gi}, networks: [198.51.100.0/24]}"), networksMessage},
		{"alone, with application data to back up", path, destinations(onVolume("b", "size: 10Gi")), alone},
	})
	bare := strings.Replace(policy, "spec:", "spec:\n  applicationData: Skip", 1)
	created(t, bare, []row{{"alone, with the database only", path, destinations(onVolume("b", "size: 10Gi")), ""}})
	updated(t, policy, []change{
		{"grows", path, beside("size: 10Gi"), beside("size: 20Gi"), ""},
		{"shrinks", path, beside("size: 10Gi"), beside("size: 9Gi"), "size may only grow: a volume cannot be made smaller without losing data"},
		{"is of another class from now on", path, beside("size: 10Gi, storageClassName: slow"), beside("size: 10Gi, storageClassName: fast"), ""},
		{"becomes a bucket", path, beside("size: 10Gi"), destinations(destination("a", inS3), destination("b", inGCS)), "a destination cannot become one of another kind: " + left},
	})
}

// Who moves a destination leaves backups behind that nobody destroys in time, and finds none where they look.
func TestPolicyDestinationsStayWhereTheyAre(t *testing.T) {
	destinationChanges(t, []change{
		{"the server has another name", "", inS3, "s3: {endpoint: s3.example.net, port: 7443, bucket: backups, uriStyle: Path}", ""},
		{"another bucket", "", inS3, "s3: {endpoint: s3.example.com, bucket: others}", "bucket and prefix cannot be changed: " + left},
		{"a prefix", "", inS3, "s3: {endpoint: s3.example.com, bucket: backups, prefix: a}", "bucket and prefix cannot be changed: " + left},
		{"another prefix", "", "gcs: {bucket: backups, prefix: a}", "gcs: {bucket: backups, prefix: b}", "bucket and prefix cannot be changed: " + left},
		{"no prefix any more", "", "gcs: {bucket: backups, prefix: a}", inGCS, "bucket and prefix cannot be changed: " + left},
		{"another account", "", inAzure, "azure: {account: other, container: backups}", "account, container and prefix cannot be changed: " + left},
		{"another user and key of the server", "", inSFTP, strings.Replace(strings.Replace(inSFTP, "{tenant}", "b-{tenant}", 1), "abc", "cba", 1), ""},
		{"another directory", "", inSFTP, strings.Replace(inSFTP, "sftp: {", "sftp: {path: a, ", 1), "path cannot be changed: " + left},
		{"another kind", "", inS3, inGCS, "a destination cannot become one of another kind: " + left},
	})
	a, b := destination("site-a", inS3), destination("site-b", inGCS)
	updated(t, policy, []change{
		{"one more", "spec.destinations", destinations(a), destinations(b, a), ""},
		{"one less", "spec.destinations", destinations(a, b), destinations(b), ""},
		{"in another order", "spec.destinations", destinations(a, b), destinations(b, a), ""},
		{"under another name", "spec.destinations", destinations(a), destinations(b), ""},
	})
}

func TestPolicySchedule(t *testing.T) {
	const start = "must be a time of day such as 01:30"
	rows := []row{
		{"start at midnight", "spec.schedule.start", `"00:00"`, ""},
		{"start in the last minute", "spec.schedule.start", `"23:59"`, ""},
		{"start at 24 o'clock", "spec.schedule.start", `"24:00"`, start},
		{"start at minute 60", "spec.schedule.start", `"01:60"`, start},
		{"start without minutes", "spec.schedule.start", `"1"`, "should be at least 5 chars long"},
		{"start with seconds", "spec.schedule.start", `"01:30:00"`, "may not be more than 5 bytes"},
		{"start as a number, as YAML 1.1 reads it", "spec.schedule.start", "90", "must be of type string"},
		{"start that is left out", "spec.schedule.start", "", "start: Required value"},
		{"zone that is left out", "spec.schedule.timeZone", "", "timeZone: Required value"},
		{"spread over a minute", "spec.schedule.spreadMinutes", "1", ""},
		{"spread over nothing", "spec.schedule.spreadMinutes", "0", "should be greater than or equal to 1"},
		{"spread over the day", "spec.schedule.spreadMinutes", "1440", "should be less than or equal to 1380"},
		{"full every day", "spec.schedule.fullDays", "[Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday]", ""},
		{"full on no day", "spec.schedule.fullDays", "[]", "should have at least 1 items"},
		{"full twice on a day", "spec.schedule.fullDays", "[Sunday, Sunday]", "Duplicate value"},
		{"full on a day that is none", "spec.schedule.fullDays", "[Sun]", `supported values: "Monday"`},
	}
	for _, good := range []string{"UTC", "Europe/Vienna", "America/Argentina/Buenos_Aires", "America/Port-au-Prince", "Etc/GMT+2", "Asia/Kathmandu"} {
		rows = append(rows, row{"zone " + good, "spec.schedule.timeZone", good, ""})
	}
	for _, bad := range []string{"Local", "+01:00", "-08:00", "europe/vienna", "../etc/passwd", "/Europe/Vienna", "Europe/", "Europe/Vienna\n", "TZ=UTC"} {
		rows = append(rows, row{fmt.Sprintf("zone %q", bad), "spec.schedule.timeZone", fmt.Sprintf("%q", bad), zoneMessage})
	}
	created(t, policy, append(rows,
		row{"zone that no database has", "spec.schedule.timeZone", "Europe/Atlantis", "unknown time zone Europe/Atlantis"},
		row{"zone by an offset", "spec.schedule.timeZone", "UTC+1", "unknown time zone UTC+1"},
	))
}

func TestPolicyRetention(t *testing.T) {
	const (
		path  = "spec.retention"
		short = "retention.backupDays must be at least pointInTimeDays + 9 - the number of schedule.fullDays: " +
			"the full backup before a point in time is up to a week older, and removing it may take one day more"
	)
	created(t, policy, []row{
		{"of two years", path, "{backupDays: 730, pointInTimeDays: 722}", ""},
		{"of more than two years", path, "{backupDays: 731}", "should be less than or equal to 730"},
		{"of a point in time only", path, "{pointInTimeDays: 7}", ""},
		{"of no day", path, "{backupDays: 0}", "should be greater than or equal to 3"},
		{"that is negative", path, "{pointInTimeDays: -1}", "should be greater than or equal to 1"},
		{"in hours", path, "{backupDays: 1.5}", "must be of type integer"},
		{"beyond every number", path, "{backupDays: 4294967296}", "should be less than or equal to 730"},
		{"as long as it can be with weekly full backups", path, "{backupDays: 38, pointInTimeDays: 30}", ""},
		{"that destroys what points in time need", path, "{backupDays: 37, pointInTimeDays: 30}", short},
		{"of backups that is shorter than the default for points in time", path, "{backupDays: 14}", short},
		{"with weekly full backups, too short for one day", path, "{backupDays: 8, pointInTimeDays: 1}", short},
	})
	daily := strings.Replace(policy, `start: "01:30"`, `start: "01:30", fullDays: [Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday]`, 1)
	created(t, daily, []row{
		{"as long as it can be with daily full backups", path, "{backupDays: 3, pointInTimeDays: 1}", ""},
		{"too short with daily full backups", path, "{backupDays: 31, pointInTimeDays: 30}", short},
	})
	updated(t, policy, []change{
		{"may become shorter", path, "{backupDays: 180}", "{backupDays: 90}", ""},
		{"may not lose its reserve", path, "{backupDays: 38}", "{backupDays: 37}", short},
	})
}

func TestPolicyVerification(t *testing.T) {
	const (
		path = "spec.verification"
		late = "verification.maximumAgeDays must be more than intervalDays times the number of destinations: " +
			"they take turns, and a proof must not be too old before its turn comes again"
	)
	created(t, policy, []row{
		{"every day", path, "{intervalDays: 1, maximumAgeDays: 2}", ""},
		{"never", path, "{intervalDays: 0}", "should be greater than or equal to 1"},
		{"less often than monthly", path, "{intervalDays: 31, maximumAgeDays: 60}", "should be less than or equal to 30"},
		{"whose proof is old as soon as it is renewed", path, "{intervalDays: 7, maximumAgeDays: 7}", late},
		{"that is rarer than the default lets proofs age", path, "{intervalDays: 30}", late},
		{"with an assertion", path, `{assertions: [{name: users-are-there, query: "SELECT count(*) > 0\n\tFROM users"}]}`, ""},
		{"with an assertion of no name", path, `{assertions: [{query: "SELECT true"}]}`, "name: Required value"},
		{"with an assertion of no query", path, `{assertions: [{name: a}]}`, "query: Required value"},
		{"with an assertion twice", path, `{assertions: [{name: a, query: "SELECT true"}, {name: a, query: "SELECT 1 = 1"}]}`, "Duplicate value"},
		{"with a name in capitals", path, `{assertions: [{name: Users, query: "SELECT true"}]}`, "must be a short name: lower-case letters, digits and hyphens"},
		{"with a query that holds NUL", path, `{assertions: [{name: a, query: "SELECT true\0"}]}`, "may not hold control characters other than line breaks and tabs"},
		{"with a query that holds an escape character", path, `{assertions: [{name: a, query: "SELECT true \x1b[2J"}]}`, "may not hold control characters other than line breaks and tabs"},
		{"with seventeen assertions", path, assertions(17), "must have at most 16 items"},
		{"with sixteen assertions", path, assertions(16), ""},
		{"with a query that is too long", path, `{assertions: [{name: a, query: "` + strings.Repeat("a", 2049) + `"}]}`, "may not be more than 2048 bytes"},
	})
	all := destinations(destination("a", inS3), destination("b", inGCS), destination("c", inAzure), destination("d", inSFTP))
	every := func(days int) string {
		return strings.Replace(policy, "spec:", fmt.Sprintf("spec:\n  verification: {intervalDays: %d, maximumAgeDays: 29}", days), 1)
	}
	created(t, every(7), []row{{"whose turn comes in time at four destinations", "spec.destinations", all, ""}})
	created(t, every(8), []row{{"whose turn comes too late at four destinations", "spec.destinations", all, late}})
}

func assertions(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(`{name: a%d, query: "SELECT true"}`, i)
	}
	return "{assertions: [" + strings.Join(all, ", ") + "]}"
}

func TestPolicyLimits(t *testing.T) {
	created(t, policy, []row{
		{"of lag", "spec.limits.lagSeconds", "180", ""},
		{"of a lag that no archive can keep", "spec.limits.lagSeconds", "179", "should be greater than or equal to 180"},
		{"of a lag of more than a day", "spec.limits.lagSeconds", "86401", "should be less than or equal to 86400"},
		{"of a backup's age", "spec.limits.backupAgeHours", "26", ""},
		{"of an age that a daily backup exceeds", "spec.limits.backupAgeHours", "25", "should be greater than or equal to 26"},
	})
}

func TestPolicyApplicationData(t *testing.T) {
	created(t, policy, []row{
		{"is backed up", "spec.applicationData", "Include", ""},
		{"is left out", "spec.applicationData", "Skip", ""},
		{"is something else", "spec.applicationData", "Sometimes", `supported values: "Include", "Skip"`},
	})
	updated(t, policy, []change{
		{"is left out from now on", "spec.applicationData", "Include", "Skip", ""},
		{"is backed up from now on", "spec.applicationData", "Skip", "Include", ""},
	})
}

func TestPolicyKeyEscrow(t *testing.T) {
	const (
		good = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
		key  = "must be a public key as age-keygen prints it: age1 and 58 characters"
		path = "spec.keyEscrow.recipients"
	)
	created(t, policy, []row{
		{"for nobody", path, "[]", ""},
		{"for one", path, "[" + good + "]", ""},
		{"for one twice", path, "[" + good + ", " + good + "]", "Duplicate value"},
		{"for a private key", path, "[AGE-SECRET-KEY-1" + strings.Repeat("Q", 45) + "]", key},
		{"for a key in capitals", path, "[" + strings.ToUpper(good) + "]", key},
		{"for a key of another length", path, "[" + good + "p]", "may not be more than 62 bytes"},
		{"for a key of SSH", path, `["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL"]`, "should be at least 62 chars long"},
	})
}

func TestPolicyDefaults(t *testing.T) {
	spec := stored(t, policy)
	expect(t, spec, map[string]any{
		"schedule.spreadMinutes":      240,
		"schedule.fullDays":           "[Sunday]",
		"retention.backupDays":        180,
		"retention.pointInTimeDays":   30,
		"verification.intervalDays":   7,
		"verification.maximumAgeDays": 30,
		"limits.lagSeconds":           300,
		"limits.backupAgeHours":       30,
		"applicationData":             "Include",
	})
	first := spec["destinations"].([]any)[0].(map[string]any)
	expect(t, first, map[string]any{"s3.port": 443, "s3.uriStyle": "VirtualHost"})
}
