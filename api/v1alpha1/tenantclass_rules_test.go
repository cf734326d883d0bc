// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"fmt"
	"strings"
	"testing"
)

const pathMessage = "must be an absolute path such as /var/lib/shop: letters, digits and _ . @ + -, without . or .. as a part and without a slash at the end"

func TestClassImages(t *testing.T) {
	const message = "must be an image reference such as registry.example.com/shop:1.4.2"
	for _, path := range []string{"spec.app.image", "spec.database.image", "spec.edge.image"} {
		t.Run(path, func(t *testing.T) {
			created(t, class, []row{
				{"with a tag", path, "registry.example.com:5000/team/shop:1.4.2", ""},
				{"with a digest", path, "shop@sha256:" + strings.Repeat("0", 64), ""},
				{"with a blank", path, `"shop 1.4.2"`, message},
				{"with a scheme", path, "https://registry.example.com/shop?x", message},
				{"with a line break", path, `"shop\n"`, message},
				{"that begins with a slash", path, "/shop", message},
				{"that is empty", path, `""`, "should be at least 1 chars long"},
				{"that is too long", path, strings.Repeat("a", 513), "may not be more than 512 bytes"},
			})
		})
	}
	created(t, class, []row{
		{"left out", "spec.app.image", "", "spec.app.image: Required value"},
		{"with a pull policy", "spec.app.imagePullPolicy", "Never", ""},
		{"with an unknown pull policy", "spec.app.imagePullPolicy", "Sometimes", `supported values: "Always", "IfNotPresent", "Never"`},
	})
}

func TestClassPorts(t *testing.T) {
	const one = "set exactly one of port (plain HTTP) and tlsPort (HTTPS)"
	created(t, class, []row{
		{"plain", "spec.app", "{image: shop, port: 8080}", ""},
		{"TLS", "spec.app", "{image: shop, tlsPort: 8443}", ""},
		{"the lowest", "spec.app", "{image: shop, port: 1024}", ""},
		{"the highest", "spec.app", "{image: shop, tlsPort: 65535}", ""},
		{"both", "spec.app", "{image: shop, port: 8080, tlsPort: 8443}", one},
		{"none", "spec.app", "{image: shop}", one},
		{"privileged", "spec.app", "{image: shop, port: 80}", "should be greater than or equal to 1024"},
		{"privileged TLS", "spec.app", "{image: shop, tlsPort: 443}", "should be greater than or equal to 1024"},
		{"too high", "spec.app", "{image: shop, port: 65536}", "should be less than or equal to 65535"},
		{"too high TLS", "spec.app", "{image: shop, tlsPort: 65536}", "should be less than or equal to 65535"},
	})
}

func TestClassCommand(t *testing.T) {
	for _, field := range []string{"command", "args"} {
		path := "spec.app." + field
		t.Run(field, func(t *testing.T) {
			created(t, class, []row{
				{"plain", path, `["/usr/bin/shop", "--title=It's \"new\" #1"]`, ""},
				{"with a reference", path, `["--password=$(DATABASE_PASSWORD)"]`, "may not hold $: nothing is expanded here; use env to hand over values"},
				{"with a reference in the second place", path, `["a", "$(b)"]`, "may not hold $: nothing is expanded here; use env to hand over values"},
				{"that is too long", path, fmt.Sprintf("[%s]", strings.Repeat("a", 1025)), "may not be more than 1024 bytes"},
				{"with too many parts", path, "[" + strings.Repeat("a, ", 64) + "a]", "must have at most 64 items"},
			})
		})
	}
}

func TestClassEnv(t *testing.T) {
	const (
		one  = "set exactly one of value, source, generated and secretKeyRef"
		name = "must be the name of an environment variable: letters, digits and underscores, not beginning with a digit"
		key  = "must be a key of a Secret: letters, digits and - _ ."
		word = "must be lower-case letters, digits and hyphens, beginning and ending with a letter or digit"
	)
	created(t, class, []row{
		{"of a value", "spec.app.env", "[{name: MODE, value: 'fast; {a: b} %d <x>'}]", ""},
		{"of a generated value", "spec.app.env", "[{name: ADMIN_PASSWORD, generated: admin-password}]", ""},
		{"of a Secret's key", "spec.app.env", "[{name: SMTP, secretKeyRef: {name: smtp, key: url.txt_1, optional: true}}]", ""},
		{"of nothing", "spec.app.env", "[{name: A}]", one},
		{"of a value and a source", "spec.app.env", "[{name: A, value: b, source: URL}]", one},
		{"of a source and a generated value", "spec.app.env", "[{name: A, source: URL, generated: b}]", one},
		{"of a Secret and a value", "spec.app.env", "[{name: A, value: b, secretKeyRef: {name: c, key: d}}]", one},
		{"without a name", "spec.app.env", "[{value: b}]", "spec.app.env[0].name: Required value"},
		{"with a hyphen in the name", "spec.app.env", "[{name: A-B, value: b}]", name},
		{"with a digit first", "spec.app.env", "[{name: 1A, value: b}]", name},
		{"with a line break in the name", "spec.app.env", `[{name: "A\nB", value: b}]`, name},
		{"twice", "spec.app.env", "[{name: A, value: b}, {name: A, value: c}]", "Duplicate value"},
		{"65 times", "spec.app.env", envs(65), "must have at most 64 items"},
		{"64 times", "spec.app.env", envs(64), ""},
		{"of an empty value", "spec.app.env", `[{name: A, value: ""}]`, "should be at least 1 chars long"},
		{"of a long value", "spec.app.env", "[{name: A, value: " + strings.Repeat("a", 1025) + "}]", "may not be more than 1024 bytes"},
		{"with a line break", "spec.app.env", `[{name: A, value: "b\nc"}]`, textMessage},
		{"with a quote", "spec.app.env", `[{name: A, value: 'b"c'}]`, textMessage},
		{"with a single quote", "spec.app.env", `[{name: A, value: "b'c"}]`, textMessage},
		{"with a reference", "spec.app.env", `[{name: A, value: "$(PASSWORD)"}]`, textMessage},
		{"with a hash", "spec.app.env", `[{name: A, value: "b#c"}]`, textMessage},
		{"with a backslash", "spec.app.env", `[{name: A, value: 'b\c'}]`, textMessage},
		{"of an unknown source", "spec.app.env", "[{name: A, source: SuperuserPassword}]", "Unsupported value"},
		{"of a generated value with capitals", "spec.app.env", "[{name: A, generated: Admin}]", word},
		{"of Freehold's own Secret", "spec.app.env", "[{name: A, secretKeyRef: {name: freehold-ca, key: tls.key}}]", ownSecret},
		{"of a Secret with capitals", "spec.app.env", "[{name: A, secretKeyRef: {name: SMTP, key: url}}]", objectMessage},
		{"of a key with a slash", "spec.app.env", "[{name: A, secretKeyRef: {name: smtp, key: a/b}}]", key},
		{"of a Secret without a key", "spec.app.env", "[{name: A, secretKeyRef: {name: smtp}}]", "spec.app.env[0].secretKeyRef.key: Required value"},
		{"of a key without a Secret", "spec.app.env", "[{name: A, secretKeyRef: {key: url}}]", "spec.app.env[0].secretKeyRef.name: Required value"},
	})
	for _, source := range []string{"DatabaseURL", "DatabaseHost", "DatabasePort", "DatabaseName", "DatabaseUser", "DatabasePassword", "DatabaseCAFile",
		"TLSCertificateFile", "TLSKeyFile", "URL", "Hostname", "TenantName", "DisplayName"} {
		created(t, class, []row{{"of the source " + source, "spec.app.env", "[{name: A, source: " + source + "}]", ""}})
	}
}

func envs(n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("{name: A%d, value: b}", i)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func TestClassPaths(t *testing.T) {
	const kept = "is a path that the system or Freehold uses; choose another"
	rows := []row{}
	for path, refused := range map[string]string{
		"/data": "", "/var/lib/shop": "", "/home/app/.config": "", "/etc/shop.conf": "", "/opt/a@1+b-c_d": "", "/devices": "",
		"data": pathMessage, "/data/": pathMessage, "/data//shop": pathMessage, "/data/..": pathMessage, "/../etc": pathMessage, "/data/./x": pathMessage,
		"/da ta": pathMessage, "/data:ro": pathMessage, "/data,x": pathMessage, "/da\nta": pathMessage, "/data\n": pathMessage, "/$HOME": pathMessage,
		"/etc": kept, "/dev": kept, "/dev/shm": kept, "/proc": kept, "/proc/1": kept, "/sys": kept, "/sys/fs": kept, "/etc/freehold": kept, "/etc/freehold/tls": kept,
		"/": "should be at least 2 chars long", "/" + strings.Repeat("a", 255): "may not be more than 255 bytes",
	} {
		name := fmt.Sprintf("%.40q", path)
		rows = append(rows,
			row{"volume at " + name, "spec.app.dataVolume", fmt.Sprintf("{mountPath: %q, size: 1Gi}", path), refused},
			row{"file at " + name, "spec.app.files", fmt.Sprintf("[{path: %q, content: x}]", path), refused},
			row{"writable path " + name, "spec.app.pod.writablePaths", fmt.Sprintf("[%q]", path), refused},
		)
	}
	created(t, class, rows)
}

func TestClassFiles(t *testing.T) {
	const written = "files may not lie below a folder that the application writes to (/tmp, dataVolume.mountPath, pod.writablePaths); choose another path"
	created(t, class, []row{
		{"of any text", "spec.app.files", `[{path: /etc/shop.ini, content: "a = \"$b\" # c\n\\ ' ä"}]`, ""},
		{"of 64 KiB", "spec.app.files", "[{path: /etc/shop.ini, content: " + strings.Repeat("a", 65536) + "}]", ""},
		{"of more than 64 KiB", "spec.app.files", "[{path: /etc/shop.ini, content: " + strings.Repeat("a", 65537) + "}]", "may not be more than 65536 bytes"},
		{"with NUL", "spec.app.files", `[{path: /etc/shop.ini, content: "a\0b"}]`, "may not hold NUL: files are text"},
		{"without content", "spec.app.files", "[{path: /etc/shop.ini}]", "spec.app.files[0].content: Required value"},
		{"with empty content", "spec.app.files", `[{path: /etc/shop.ini, content: ""}]`, "should be at least 1 chars long"},
		{"twice at one path", "spec.app.files", "[{path: /etc/a, content: b}, {path: /etc/a, content: c}]", "Duplicate value"},
		{"below /tmp", "spec.app.files", "[{path: /tmp/shop.ini, content: x}]", written},
		{"below the data volume", "spec.app", "{image: shop, port: 8080, dataVolume: {mountPath: /data, size: 1Gi}, files: [{path: /data/shop.ini, content: x}]}", written},
		{"below a writable path", "spec.app", "{image: shop, port: 8080, pod: {writablePaths: [/run/shop]}, files: [{path: /run/shop/shop.ini, content: x}]}", written},
		{"beside a writable path", "spec.app", "{image: shop, port: 8080, pod: {writablePaths: [/run/shop]}, files: [{path: /run/shop.ini, content: x}]}", ""},
	})
}

func TestClassDataVolume(t *testing.T) {
	base := strings.Replace(class, "port: 8080", "port: 8080, dataVolume: {mountPath: /data, size: 10Gi}", 1)
	storageRows(t, base, "spec.app.dataVolume.size", "size", "1Mi", "1023Ki")
	created(t, base, []row{
		{"without a size", "spec.app.dataVolume", "{mountPath: /data}", "spec.app.dataVolume.size: Required value"},
		{"without a path", "spec.app.dataVolume", "{size: 1Gi}", "spec.app.dataVolume.mountPath: Required value"},
		{"of a storage class", "spec.app.dataVolume.storageClassName", "fast", ""},
		{"of a storage class with capitals", "spec.app.dataVolume.storageClassName", "Fast", objectMessage},
		{"at a writable path", "spec.app.pod", "{writablePaths: [/data]}", "dataVolume.mountPath is also one of pod.writablePaths, which are lost with the pod; remove it there"},
		{"beside a writable path", "spec.app.pod", "{writablePaths: [/data2]}", ""},
	})
	updated(t, class, []change{
		{"is removed", "spec.app.dataVolume", "{mountPath: /data, size: 1Gi}", "", "dataVolume cannot be removed: tenants' data lies on it"},
		{"is added", "spec.app.dataVolume", "", "{mountPath: /data, size: 1Gi}", ""},
	})
}

func TestClassProbes(t *testing.T) {
	const message = "must be the path of a URL such as /healthz, with a query if needed"
	created(t, class, []row{
		{"at a path", "spec.app.probes", "{readiness: {path: '/health/ready?full=1&a=%20b'}}", ""},
		{"at the root", "spec.app.probes", "{readiness: {path: /}}", ""},
		{"at a path without a slash", "spec.app.probes", "{readiness: {path: healthz}}", message},
		{"at a path with a blank", "spec.app.probes", "{readiness: {path: '/a b'}}", message},
		{"at a path with a line break", "spec.app.probes", `{readiness: {path: "/a\nb"}}`, message},
		{"at another server", "spec.app.probes", "{readiness: {path: 'http://other/'}}", message},
		{"without a path", "spec.app.probes", "{readiness: {}}", "spec.app.probes.readiness.path: Required value"},
		{"after an hour", "spec.app.probes", "{startupSeconds: 3600}", ""},
		{"too soon", "spec.app.probes", "{startupSeconds: 9}", "should be greater than or equal to 10"},
		{"too late", "spec.app.probes", "{startupSeconds: 86401}", "should be less than or equal to 86400"},
	})
}

func TestClassPod(t *testing.T) {
	rows := []row{
		{"as root's neighbour", "spec.app.pod", "{runAsUser: 1, runAsGroup: 1, fsGroup: 1}", ""},
		{"with writable paths", "spec.app.pod", "{writablePaths: [/run/shop, /var/cache/shop]}", ""},
		{"with a path twice", "spec.app.pod", "{writablePaths: [/run/shop, /run/shop]}", "Duplicate value"},
		{"that stops at once", "spec.app.pod", "{terminationGracePeriodSeconds: 0}", "should be greater than or equal to 1"},
		{"that takes too long to stop", "spec.app.pod", "{terminationGracePeriodSeconds: 3601}", "should be less than or equal to 3600"},
		{"on certain nodes", "spec.app.pod", "{scheduling: {nodeSelector: {disk: ssd}, tolerations: [{key: a, operator: Exists}]}}", ""},
	}
	for _, field := range []string{"runAsUser", "runAsGroup", "fsGroup"} {
		rows = append(rows,
			row{"as root: " + field, "spec.app.pod", fmt.Sprintf("{%s: 0}", field), "should be greater than or equal to 1"},
			row{"too high: " + field, "spec.app.pod", fmt.Sprintf("{%s: 2147483648}", field), "should be less than or equal to 2147483647"})
	}
	created(t, class, rows)
}

func TestScheduling(t *testing.T) {
	const (
		names     = "the names of nodeSelector must be names of labels such as disk or example.com/pool"
		values    = "must be the value of a label: letters, digits and - _ . beginning and ending with a letter or digit, or empty"
		operator  = "the operator of a toleration must be Equal (the default) or Exists"
		effect    = "the effect of a toleration must be NoSchedule, PreferNoSchedule or NoExecute; without one it tolerates all"
		seconds   = "tolerationSeconds of a toleration only has a meaning with the effect NoExecute"
		keyless   = "a toleration without a key tolerates every taint and needs the operator Exists"
		tolerated = "a toleration with the operator Exists tolerates any value; remove its value"
	)
	for _, path := range []string{"spec.app.pod.scheduling", "spec.database.scheduling", "spec.edge.scheduling"} {
		t.Run(path, func(t *testing.T) {
			created(t, class, []row{
				{"on labelled nodes", path, "{nodeSelector: {disk: ssd, example.com/pool: a_b.c-1, node-role.kubernetes.io/worker: ''}}", ""},
				{"by a label with a blank", path, "{nodeSelector: {a b: x}}", names},
				{"by a label with two slashes", path, "{nodeSelector: {a/b/c: x}}", names},
				{"by a label without a name", path, "{nodeSelector: {'': x}}", names},
				{"by a long label", path, "{nodeSelector: {" + strings.Repeat("a", 64) + ": x}}", names},
				{"by a value with a blank", path, "{nodeSelector: {a: b c}}", values},
				{"by a value that ends with a hyphen", path, "{nodeSelector: {a: b-}}", values},
				{"by a long value", path, "{nodeSelector: {a: " + strings.Repeat("b", 64) + "}}", "may not be more than 63 bytes"},
				{"on tainted nodes", path, "{tolerations: [{key: pool, value: apps, effect: NoSchedule}, {key: a, operator: Exists}, {operator: Exists}]}", ""},
				{"until a node has failed for a minute", path, "{tolerations: [{key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 60}]}", ""},
				{"with an unknown operator", path, "{tolerations: [{key: a, operator: In}]}", operator},
				{"with an unknown effect", path, "{tolerations: [{key: a, effect: NoScedule}]}", effect},
				{"for seconds with another effect", path, "{tolerations: [{key: a, effect: NoSchedule, tolerationSeconds: 60}]}", seconds},
				{"for seconds without an effect", path, "{tolerations: [{key: a, tolerationSeconds: 60}]}", seconds},
				{"without a key", path, "{tolerations: [{value: a}]}", keyless},
				{"with a value for any value", path, "{tolerations: [{key: a, operator: Exists, value: b}]}", tolerated},
			})
		})
	}
}

func TestClassCompute(t *testing.T) {
	for _, path := range []string{"spec.app.compute", "spec.database.compute", "spec.edge.compute"} {
		computeRows(t, class, path)
	}
}

func TestClassDatabase(t *testing.T) {
	parameterRows(t, class, "spec.database.parameters")
	storageRows(t, class, "spec.database.storage.size", "size", "256Mi", "255Mi")
	for field, fixed := range map[string]string{
		"name": "name cannot change: tenants' data lies under it",
		"user": "user cannot change: it owns tenants' data",
	} {
		identifierRows(t, "spec.database."+field)
		updated(t, class, []change{
			{field + " changes", "spec.database." + field, "shop", "store", fixed},
			{field + " stays", "spec.database." + field, "shop", "shop", ""},
			{field + " is set to another than the default later", "spec.database." + field, "", "store", fixed},
		})
	}
	created(t, class, []row{
		{"storage class with capitals", "spec.database.storage", "{storageClassName: Fast}", objectMessage},
		{"storage class", "spec.database.storage", "{storageClassName: fast.local}", ""},
	})
}

func identifierRows(t *testing.T, path string) {
	t.Helper()
	const (
		form = "must be a PostgreSQL identifier: lower-case letters, digits and underscores, not beginning with a digit"
		kept = "is a name that PostgreSQL or Freehold keeps for itself; choose another"
	)
	rows := []row{{"that is too long", path, strings.Repeat("a", 64), "may not be more than 63 bytes"}, {"that is empty", path, `""`, "at least 1 chars long"}}
	for value, refused := range map[string]string{
		"shop": "", "_shop_2": "", strings.Repeat("a", 63): "",
		"Shop": form, "2shop": form, "shop-2": form, "shop; drop table x": form, `shop"`: form, "shop'": form, "shop\n": form, "ä": form, "sh op": form,
		"postgres": kept, "template0": kept, "template1": kept, "pg_monitor": kept, "freehold": kept, "freehold_agent": kept, "public": kept, "none": kept,
		"replication": kept, "all": kept, "sameuser": kept, "samerole": kept,
	} {
		rows = append(rows, row{fmt.Sprintf("%.20q", value), path, fmt.Sprintf("%q", value), refused})
	}
	t.Run(path, func(t *testing.T) { created(t, class, rows) })
}

func TestClassEdge(t *testing.T) {
	created(t, class, []row{
		{"of one replica", "spec.edge.replicas", "1", ""},
		{"without replicas", "spec.edge.replicas", "0", "should be greater than or equal to 1"},
		{"of eleven replicas", "spec.edge.replicas", "11", "should be less than or equal to 10"},
		{"with few connections", "spec.edge.maxConnections", "9", "should be greater than or equal to 10"},
		{"with many connections", "spec.edge.maxConnections", "100001", "should be less than or equal to 100000"},
		{"without HSTS", "spec.edge.hstsMaxAgeSeconds", "0", ""},
		{"with HSTS for longer than two years", "spec.edge.hstsMaxAgeSeconds", "63072001", "should be less than or equal to 63072000"},
		{"with negative HSTS", "spec.edge.hstsMaxAgeSeconds", "-1", "should be greater than or equal to 0"},
		{"for long requests", "spec.edge.maxRequestSeconds", "3600", ""},
		{"for no requests", "spec.edge.maxRequestSeconds", "0", "should be greater than or equal to 1"},
		{"for requests of more than an hour", "spec.edge.maxRequestSeconds", "3601", "should be less than or equal to 3600"},
	})
}

func TestClassLoadBalancer(t *testing.T) {
	const (
		annotations = "annotation names must be valid and not Freehold's, values have at most 1024 characters"
		own         = "must be the name of an annotation such as metallb.io/loadBalancerIPs, and none of Freehold's"
		name        = "must be a load balancer class such as example.com/internal"
		later       = "loadBalancer.class cannot be set or removed later: Kubernetes does not let a Service change it"
	)
	created(t, class, []row{
		{"of a class", "spec.loadBalancer", "{class: metallb.io/metallb}", ""},
		{"with annotations", "spec.loadBalancer", `{annotations: {metallb.io/address-pool: "a b, c", plain: "1"}}`, ""},
		{"with an address annotation", "spec.loadBalancer", "{addressAnnotation: metallb.io/loadBalancerIPs}", ""},
		{"with node ports", "spec.loadBalancer", "{allocateNodePorts: true}", ""},
		{"of a class with a blank", "spec.loadBalancer", "{class: a b}", name},
		{"of a class with two slashes", "spec.loadBalancer", "{class: a/b/c}", name},
		{"with an annotation of Freehold", "spec.loadBalancer", "{annotations: {freehold.dev/revision: x}}", annotations},
		{"with an annotation of a blank", "spec.loadBalancer", "{annotations: {a b: x}}", annotations},
		{"with a long annotation", "spec.loadBalancer", "{annotations: {a: " + strings.Repeat("x", 1025) + "}}", annotations},
		{"with an address annotation of Freehold", "spec.loadBalancer", "{addressAnnotation: freehold.dev/revision}", own},
		{"with a bad address annotation", "spec.loadBalancer", "{addressAnnotation: a/b/c}", own},
	})
	updated(t, class, []change{
		{"changes its class", "spec.loadBalancer", "{class: a}", "{class: b}", "class cannot change: Kubernetes does not let a Service change it"},
		{"gets a class", "spec.loadBalancer", "{allocateNodePorts: true}", "{class: b}", later},
		{"gets a class and settings", "spec.loadBalancer", "", "{class: b}", later},
		{"loses its class", "spec.loadBalancer", "{class: a}", "{}", later},
		{"loses its class and settings", "spec.loadBalancer", "{class: a}", "", later},
		{"gets annotations", "spec.loadBalancer", "", "{annotations: {a: b}}", ""},
		{"keeps its class", "spec.loadBalancer", "{class: a}", "{class: a, annotations: {a: b}}", ""},
	})
}

func TestClassClientAddress(t *testing.T) {
	const (
		proxies = "clientAddress ProxyProtocol needs the load balancer's own networks in proxyRanges: only what comes from there is believed"
		meaning = "proxyRanges only has a meaning with clientAddress ProxyProtocol; set clientAddress or remove proxyRanges"
		wide    = "proxyRanges are the load balancer's own networks, of prefix length 8 or longer: whoever connects from there may claim any client address"
	)
	created(t, class, []row{
		{"preserved", "spec.loadBalancer", "{clientAddress: Preserved}", ""},
		{"by the PROXY protocol", "spec.loadBalancer", "{clientAddress: ProxyProtocol, proxyRanges: [10.90.0.0/28, 192.0.2.7/32]}", ""},
		{"by another protocol", "spec.loadBalancer", "{clientAddress: Forwarded}", "Unsupported value"},
		{"by the PROXY protocol of nobody", "spec.loadBalancer", "{clientAddress: ProxyProtocol}", proxies},
		{"by the PROXY protocol of an empty list", "spec.loadBalancer", "{clientAddress: ProxyProtocol, proxyRanges: []}", proxies},
		{"preserved, with proxies", "spec.loadBalancer", "{clientAddress: Preserved, proxyRanges: [10.90.0.0/28]}", meaning},
		{"by default, with proxies", "spec.loadBalancer", "{proxyRanges: [10.90.0.0/28]}", meaning},
		{"by the PROXY protocol of everyone", "spec.loadBalancer", "{clientAddress: ProxyProtocol, proxyRanges: [0.0.0.0/0]}", wide},
		{"by the PROXY protocol of a wide network", "spec.loadBalancer", "{clientAddress: ProxyProtocol, proxyRanges: [10.0.0.0/7]}", wide},
		{"by the PROXY protocol of the widest that may be", "spec.loadBalancer", "{clientAddress: ProxyProtocol, proxyRanges: [10.0.0.0/8]}", ""},
		{"by the PROXY protocol of host bits", "spec.loadBalancer", "{clientAddress: ProxyProtocol, proxyRanges: [10.90.0.1/28]}", hostBits},
		{"with health checks", "spec.loadBalancer", "{healthCheckSourceRanges: [192.0.2.0/24]}", ""},
		{"with health checks from a name", "spec.loadBalancer", "{healthCheckSourceRanges: [checker]}", cidrMessage},
	})
}

func TestClassLogins(t *testing.T) {
	const (
		path = "must be a path such as /login, or /auth/* for everything below one: letters, digits and . _ ~ @ : + -, without a slash at the end"
		dots = "may not have . or .. as a part: the gate takes them out of what clients ask for"
		less = "blockSeconds must be at least periodSeconds: otherwise what was counted before a block would block again after it"
	)
	rows := []row{
		{"without paths", "spec.edge.logins", "{maxFailures: 5}", "spec.edge.logins.paths: Required value"},
		{"with no paths", "spec.edge.logins", "{paths: []}", "should have at least 1 items"},
		{"with a path twice", "spec.edge.logins", "{paths: [/login, /login]}", "Duplicate value"},
		{"with statuses", "spec.edge.logins", "{paths: [/login], failureStatuses: [200, 401]}", ""},
		{"with a status that is none", "spec.edge.logins", "{paths: [/login], failureStatuses: [99]}", "should be greater than or equal to 200"},
		{"with a status above all", "spec.edge.logins", "{paths: [/login], failureStatuses: [600]}", "should be less than or equal to 599"},
		{"with no statuses", "spec.edge.logins", "{paths: [/login], failureStatuses: []}", "should have at least 1 items"},
		{"without failures", "spec.edge.logins", "{paths: [/login], maxFailures: 0}", "should be greater than or equal to 1"},
		{"with many requests", "spec.edge.logins", "{paths: [/login], maxRequests: 100001}", "should be less than or equal to 100000"},
		{"in a short period", "spec.edge.logins", "{paths: [/login], periodSeconds: 9}", "should be greater than or equal to 10"},
		{"blocked for two days", "spec.edge.logins", "{paths: [/login], blockSeconds: 172800}", "should be less than or equal to 86400"},
		{"blocked shorter than counted", "spec.edge.logins", "{paths: [/login], periodSeconds: 700}", less},
		{"blocked as long as counted", "spec.edge.logins", "{paths: [/login], periodSeconds: 700, blockSeconds: 700}", ""},
	}
	for value, refused := range map[string]string{
		"/login": "", "/": "", "/*": "", "/auth/*": "", "/api/v1/sessions": "", "/.well-known/x": "", "/a.b_c~d@e:f+g-h": "",
		"login": path, "/login/": path, "//login": path, "/log in": path, "/login#x": path, "/login?x=1": path, "/log*": path, "/*/x": path, "/a/**": path,
		"/%2e": path, `/lo"gin`: path, "/lo'gin": path, "/$x": path, `/a\b`: path, "/a\nb": path, "/ä": path, "/{x}": path, "/a;b": path,
		"/a/../b": dots, "/./a": dots, "/..": dots,
		"/" + strings.Repeat("a", 255): "may not be more than 255 bytes",
	} {
		rows = append(rows, row{fmt.Sprintf("at %.20q", value), "spec.edge.logins", fmt.Sprintf("{paths: [%q]}", value), refused})
	}
	created(t, class, rows)
	expect(t, stored(t, strings.Replace(class, "spec:", "spec:\n  edge: {logins: {paths: [/login]}}", 1)), map[string]any{
		"edge.logins.maxFailures": 10, "edge.logins.maxRequests": 60, "edge.logins.periodSeconds": 60, "edge.logins.blockSeconds": 600,
	})
}

func TestClassEgress(t *testing.T) {
	created(t, class, []row{
		{"to a network", "spec.allowedEgress", "[{cidr: 198.51.100.0/24, ports: [443, 465]}]", ""},
		{"to everywhere", "spec.allowedEgress", "[{cidr: 0.0.0.0/0, ports: [443]}]", ""},
		{"to IPv6", "spec.allowedEgress", `[{cidr: "2001:db8::/32", ports: [443]}]`, cidrMessage},
		{"with host bits", "spec.allowedEgress", "[{cidr: 198.51.100.1/24, ports: [443]}]", hostBits},
		{"without ports", "spec.allowedEgress", "[{cidr: 198.51.100.0/24}]", "spec.allowedEgress[0].ports: Required value"},
		{"to an empty list of ports", "spec.allowedEgress", "[{cidr: 198.51.100.0/24, ports: []}]", "should have at least 1 items"},
		{"without a network", "spec.allowedEgress", "[{ports: [443]}]", "spec.allowedEgress[0].cidr: Required value"},
		{"to port 0", "spec.allowedEgress", "[{cidr: 198.51.100.0/24, ports: [0]}]", "should be greater than or equal to 1"},
		{"to port 65536", "spec.allowedEgress", "[{cidr: 198.51.100.0/24, ports: [65536]}]", "should be less than or equal to 65535"},
		{"to one port twice", "spec.allowedEgress", "[{cidr: 198.51.100.0/24, ports: [443, 443]}]", "Duplicate value"},
	})
}

func TestClassTLS(t *testing.T) {
	created(t, class, []row{
		{"of an issuer", "spec.tls", "{issuerRef: {name: letsencrypt}}", ""},
		{"of an issuer of an unknown kind", "spec.tls", "{issuerRef: {name: a, kind: Vault}}", "kind must be ClusterIssuer or Issuer in group cert-manager.io; for an external issuer, name its group too"},
	})
}

func TestClassQuotaHeadroom(t *testing.T) {
	created(t, class, []row{
		{"of memory and pods", "spec.quotaHeadroom", "{limits.memory: 1Gi, pods: 2}", ""},
		{"of something else", "spec.quotaHeadroom", "{services.loadbalancers: 1}", quotaMessage},
		{"that is negative", "spec.quotaHeadroom", "{pods: -1}", "quotaHeadroom is added to the quota and cannot be negative"},
	})
}

const quotaMessage = "quotaHeadroom may have these keys: requests.cpu, requests.memory, requests.storage, limits.cpu, limits.memory, pods, persistentvolumeclaims"

func TestClassDefaults(t *testing.T) {
	expect(t, stored(t, class), map[string]any{
		"app.imagePullPolicy":                   "IfNotPresent",
		"app.probes.startupSeconds":             300,
		"app.compute.cpu":                       "500m",
		"app.compute.memory":                    "256Mi",
		"app.pod.runAsUser":                     10001,
		"app.pod.runAsGroup":                    10001,
		"app.pod.fsGroup":                       10001,
		"app.pod.terminationGracePeriodSeconds": 30,
		"database.name":                         "app",
		"database.user":                         "app",
		"database.storage.size":                 "10Gi",
		"database.compute.cpu":                  "1",
		"database.compute.memory":               "512Mi",
		"edge.replicas":                         2,
		"edge.maxConnections":                   2000,
		"edge.hstsMaxAgeSeconds":                31536000,
		"edge.maxRequestSeconds":                60,
		"edge.compute.cpu":                      "500m",
		"edge.compute.memory":                   "128Mi",
	})
	partly := stored(t, strings.Replace(class, "spec:", "spec:\n  database: {storage: {storageClassName: fast}, compute: {cpu: 2}}", 1))
	expect(t, partly, map[string]any{"database.name": "app", "database.storage.size": "10Gi"})
}
