// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
	"github.com/freehold-dev/freehold/test/apiserver"
)

// hostile are strings that mean something to one of the languages that user strings end up in or near.
var hostile = []string{
	// HAProxy.
	"a.example.com\n    use_backend evil", "a.example.com\nfrontend evil\n    bind :80", "%[src]", "%[env(PATH)]", "a.example.com # rest", `a.example.com\`,
	`"a.example.com`, "a.example.com }", "-f /etc/passwd", "-m reg .*", "a.example.com b.example.com", "a.example.com,b.example.com", "*.example.com", "a..example.com",
	// postgresql.conf, pg_hba.conf and SQL.
	"64MB'\narchive_mode = 'on", "64MB' archive_command='id", "''", "'; DROP ROLE postgres; --", `app" "postgres`, "all\nhost all all all trust",
	"all", "sameuser", "replication", "postgres", "pg_monitor", "freehold_monitor", "+app", "@/etc/passwd", "/^.*$", "a,b", "app; SELECT 1", `app"; DROP DATABASE app; --`,
	"include", "include_dir = '/tmp'",
	// Kubernetes and shells.
	"$(DATABASE_URL)", "$$(DATABASE_URL)", "${HOME}", "$(id)", "`id`", "; id", "| id", "a\x00b",
	// Headers, URLs and logs.
	"a\r\nX-Evil: 1", "a\nSet-Cookie: session=evil", "a\x1b[2J", "a\u0085b", "a\u2028b", "a\u202eb", "http://evil.example/", "user:password@evil.example",
	// Files.
	"../../etc/passwd", "/etc/freehold/tls/tls.key", "/proc/self/environ", "/var/lib/shop/../../../etc", "/etc/passwd\x00.txt", "freehold-ca", "freehold-database",
	// YAML, JSON and templates.
	"a: b\nc: d", `"}],"x":[{"`, "{{ .Port }}", "!!binary YQ==", "&a *a", "<script>alert(1)</script>",
	// Lookalikes and sizes.
	"\u0430cme.example.com", "acme\uff0eexample.com", "ACME.example.com", " ", "-", ".", strings.Repeat("a", 300), strings.Repeat("a.", 140) + "com",
}

// inlet is a field through which a user's string comes in.
type inlet struct {
	name string
	set  func(in *render.Inputs, text string)
	// takes are the hostile strings that the API lets through here, because they are harmless here.
	takes []string
}

// inlets are the fields whose strings become configuration, headers, SQL, paths or the application's surroundings.
// A new field of that kind gets a row here.
var inlets = []inlet{
	{"a Tenant's name", func(in *render.Inputs, text string) { in.Tenant.Name = text },
		[]string{"all", "sameuser", "replication", "postgres", "include", "freehold-ca", "freehold-database"}},
	{"a hostname", func(in *render.Inputs, text string) {
		in.Tenant.Spec.Hostnames = append(in.Tenant.Spec.Hostnames, v1alpha1.Hostname(text))
	}, nil},
	{"the display name", func(in *render.Inputs, text string) { in.Tenant.Spec.DisplayName = text }, nonSyntax},
	{"an allowed network", func(in *render.Inputs, text string) {
		in.Tenant.Spec.Network = v1alpha1.TenantNetwork{Access: v1alpha1.AccessRestricted, AllowedRanges: []v1alpha1.CIDR{v1alpha1.CIDR(text)}}
	}, nil},
	{"a denied network", func(in *render.Inputs, text string) {
		in.Tenant.Spec.Network.DeniedRanges = []v1alpha1.CIDR{v1alpha1.CIDR(text)}
	}, nil},
	{"the address", func(in *render.Inputs, text string) { in.Tenant.Spec.Network.Address = text }, nil},
	{"the least TLS version", func(in *render.Inputs, text string) { in.Tenant.Spec.TLS.MinVersion = v1alpha1.TLSVersion(text) }, nil},
	{"the certificate's Secret", func(in *render.Inputs, text string) {
		in.Tenant.Spec.TLS.SecretRef = &v1alpha1.SecretReference{Name: text}
	}, []string{"all", "sameuser", "replication", "postgres", "include"}},
	{"a Tenant's database parameter", func(in *render.Inputs, text string) {
		in.Tenant.Spec.Database = &v1alpha1.TenantDatabase{Parameters: v1alpha1.PostgreSQLParameters{"work_mem": v1alpha1.PostgreSQLValue(text)}}
	}, wordsAndPaths},
	{"the name of a database parameter", func(in *render.Inputs, text string) {
		in.Class.Spec.Database.Parameters = v1alpha1.PostgreSQLParameters{text: "1"}
	}, nil},
	{"a class's database parameter", func(in *render.Inputs, text string) {
		in.Class.Spec.Database.Parameters = v1alpha1.PostgreSQLParameters{"timezone": v1alpha1.PostgreSQLValue(text)}
	}, wordsAndPaths},
	{"the name of the database", func(in *render.Inputs, text string) { in.Class.Spec.Database.Name = v1alpha1.Identifier(text) }, []string{"include"}},
	{"the database's user", func(in *render.Inputs, text string) { in.Class.Spec.Database.User = v1alpha1.Identifier(text) }, []string{"include"}},
	{"the value of a variable", func(in *render.Inputs, text string) {
		in.Class.Spec.App.Env = append(in.Class.Spec.App.Env, v1alpha1.EnvVar{Name: "HOSTILE", Value: text})
	}, append([]string{strings.Repeat("a", 300), strings.Repeat("a.", 140) + "com"}, nonSyntax...)},
	{"the name of a variable", func(in *render.Inputs, text string) {
		in.Class.Spec.App.Env = append(in.Class.Spec.App.Env, v1alpha1.EnvVar{Name: text, Value: "x"})
	}, []string{"all", "sameuser", "replication", "postgres", "pg_monitor", "freehold_monitor", "include"}},
	{"the Secret of a variable", func(in *render.Inputs, text string) {
		in.Class.Spec.App.Env = append(in.Class.Spec.App.Env, v1alpha1.EnvVar{Name: "HOSTILE",
			SecretKeyRef: &v1alpha1.SecretKeyReference{SecretReference: v1alpha1.SecretReference{Name: text}, Key: "key"}})
	}, []string{"all", "sameuser", "replication", "postgres", "include"}},
	{"a folder to write to", func(in *render.Inputs, text string) {
		in.Class.Spec.App.Pod.WritablePaths = []v1alpha1.AbsolutePath{v1alpha1.AbsolutePath(text)}
	}, nil},
	{"the path of a file", func(in *render.Inputs, text string) {
		in.Class.Spec.App.Files = []v1alpha1.ConfigFile{{Path: v1alpha1.AbsolutePath(text), Content: "x"}}
	}, nil},
	{"the path of a probe", func(in *render.Inputs, text string) { in.Class.Spec.App.Probes.Readiness.Path = text },
		[]string{"/etc/freehold/tls/tls.key", "/proc/self/environ", "/var/lib/shop/../../../etc"}},
	{"a login path", func(in *render.Inputs, text string) {
		in.Class.Spec.Edge.Logins = &v1alpha1.ClassLogins{Paths: []v1alpha1.LoginPath{v1alpha1.LoginPath(text)}}
	}, []string{"/etc/freehold/tls/tls.key", "/proc/self/environ"}},
	{"the application's image", func(in *render.Inputs, text string) { in.Class.Spec.App.Image = v1alpha1.ImageReference(text) },
		slices.Concat(wordsOnly, []string{"user:password@evil.example", "a..example.com", "ACME.example.com", strings.Repeat("a", 300), strings.Repeat("a.", 140) + "com", "http://evil.example/"})},
	{"a network to connect to", func(in *render.Inputs, text string) {
		in.Class.Spec.AllowedEgress = []v1alpha1.EgressRule{{CIDR: v1alpha1.CIDR(text), Ports: []int32{443}}}
	}, nil},
	{"the annotation with the address", func(in *render.Inputs, text string) { in.Class.Spec.LoadBalancer.AddressAnnotation = text },
		slices.Concat(wordsOnly, []string{"a..example.com", "ACME.example.com"})},
}

// What nobody takes for syntax: letters and signs that no language of ours gives a meaning to.
var (
	wordsOnly     = []string{"all", "sameuser", "replication", "postgres", "pg_monitor", "freehold_monitor", "include", "freehold-ca", "freehold-database"}
	wordsAndPaths = slices.Concat(wordsOnly, []string{"+app", "../../etc/passwd", "/etc/freehold/tls/tls.key", "/proc/self/environ",
		"/var/lib/shop/../../../etc", "-f /etc/passwd", "-", ".", "a..example.com", "ACME.example.com", "a.example.com b.example.com"})
	nonSyntax = slices.Concat(wordsAndPaths, []string{"%[src]", "%[env(PATH)]", "a.example.com }", "-m reg .*", "a.example.com,b.example.com", "*.example.com",
		"@/etc/passwd", "a,b", "app; SELECT 1", "`id`", "; id", "| id", "a\u202eb", "http://evil.example/", "user:password@evil.example", "{{ .Port }}", "!!binary YQ==", "&a *a",
		"<script>alert(1)</script>", "\u0430cme.example.com", "acme\uff0eexample.com", " "})
)

// Two fences, each tried alone: the API server refuses what it can, and the rendering believes none of it.
func TestHostileStringsAreRefusedOrHarmless(t *testing.T) {
	api := admission(t)
	for _, way := range inlets {
		t.Run(way.name, func(t *testing.T) {
			for _, text := range hostile {
				in := miniflux()
				way.set(&in, text)
				refused := submit(t, api, in)
				if expected := !slices.Contains(way.takes, text); refused != expected {
					t.Errorf("%q: the API server refuses it: %v, expected %v", text, refused, expected)
				}
				checkHarmless(t, text, in)
			}
		})
	}
}

// admission is an API server with the real CRDs.
func admission(t *testing.T) client.Client {
	t.Helper()
	config, stop, err := apiserver.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stop() })
	kinds := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(kinds); err != nil {
		t.Fatal(err)
	}
	api, err := client.New(config, client.Options{Scheme: kinds})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// submit reports whether the API server refuses the Tenant or its class. Nothing is stored.
func submit(t *testing.T, api client.Client, in render.Inputs) bool {
	t.Helper()
	for _, object := range []client.Object{in.Tenant.DeepCopy(), in.Class.DeepCopy()} {
		err := api.Create(t.Context(), object, client.DryRunAll)
		switch {
		case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
			return true
		case err != nil:
			t.Fatalf("neither accepted nor refused: %v", err)
		}
	}
	return false
}

// checkHarmless renders what an API server without any rules would have let through.
func checkHarmless(t *testing.T, text string, in render.Inputs) {
	t.Helper()
	plain := miniflux()
	if in.Class.Spec.Edge.Logins != nil {
		plain.Class.Spec.Edge.Logins = &v1alpha1.ClassLogins{Paths: []v1alpha1.LoginPath{"/login"}}
	}
	objects, err := render.Live(in)
	var revision *render.Revision
	if err == nil {
		revision, err = render.NewRevision(in)
	}
	var invalid *render.InvalidError
	if errors.As(err, &invalid) {
		return
	}
	if err != nil {
		t.Errorf("%q: %v", text, err)
		return
	}
	// The lists are data, one entry a line: more entries than fields were filled would be an injection.
	lists, usual := configMapNamed(objects, meta.EdgeListsConfigMap).Data, configMapNamed(mustLive(t, plain), meta.EdgeListsConfigMap).Data
	if names := entries(lists[meta.KeyHostsList]); len(names) > len(entries(usual[meta.KeyHostsList]))+1 {
		t.Errorf("%q makes the gate answer for %q", text, names)
	}
	tenant := in.Tenant.Name
	for _, key := range []string{meta.KeyHAProxyConf, meta.KeyHBAConf, meta.KeyIdentConf, meta.KeyPostgreSQLConf} {
		want := directives(revisionFile(t, mustRevision(t, plain), key))
		has := directives(strings.ReplaceAll(revisionFile(t, revision, key), "tenant-"+tenant+".", "tenant-acme."))
		if key == meta.KeyHBAConf {
			has = directives(strings.ReplaceAll(strings.Join(has, "\n"), `"include"`, `"app"`))
		}
		if len(in.Class.Spec.Database.Parameters)+overrides(in) == 0 && !slices.Equal(has, want) || len(has) > len(want)+1 {
			t.Errorf("%q changes %s:\n%s", text, key, strings.Join(has, "\n"))
		}
	}
	checkPod(t, text, revision)
}

func overrides(in render.Inputs) int {
	if in.Tenant.Spec.Database == nil {
		return 0
	}
	return len(in.Tenant.Spec.Database.Parameters)
}

// checkPod makes sure that the kubelet finds nothing to expand and no Secret of Freehold's to hand over.
func checkPod(t *testing.T, text string, revision *render.Revision) {
	t.Helper()
	for _, container := range revision.App.Spec.Template.Spec.Containers {
		for _, variable := range container.Env {
			if variable.Value != nil && strings.ContainsAny(*variable.Value, "$\x00\r\n") {
				t.Errorf("%q: the variable %s has the value %q", text, *variable.Name, *variable.Value)
			}
			own := []string{meta.CredentialsSecret, meta.GeneratedSecret}
			if from := variable.ValueFrom; from != nil && from.SecretKeyRef != nil &&
				strings.HasPrefix(*from.SecretKeyRef.Name, "freehold-") && !slices.Contains(own, *from.SecretKeyRef.Name) {
				t.Errorf("%q: the variable %s reads Secret %s", text, *variable.Name, *from.SecretKeyRef.Name)
			}
		}
	}
}

// Names at the edge of what is allowed, in front of the real programs: words that mean something to SQL and to
// PostgreSQL's own files, names that look like numbers or addresses, and the longest ones.
func TestOddButAllowedNamesMeanNothingToHAProxy(t *testing.T) {
	program := haproxyProgram(t)
	app := httptest.NewServer(echo)
	defer app.Close()
	longest := strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("a", 61)
	for tenant, hosts := range map[string][]string{
		"0":                      {"0.0", "127.0.0.1", "1.2.3.4"},
		strings.Repeat("z", 56):  {longest, "xn--grsse-iva4m.example.com"},
		"a--b":                   {"a--b.example.com", "default.backend"},
		"frontend":               {"http-request.deny", "use-backend.evil.if.true"},
		"xn--p1ai":               {"localhost.localdomain", "kubernetes.default.svc"},
		"null":                   {"null.null", "true.false"},
		"app-tenant-globex-svc":  {"app.tenant-globex.svc.cluster.local"},
		"metadata-google-intern": {"metadata.google.internal"},
	} {
		t.Run(tenant, func(t *testing.T) {
			in := miniflux()
			in.Tenant.Name, in.Tenant.Spec.Hostnames = tenant, nil
			for _, host := range hosts {
				in.Tenant.Spec.Hostnames = append(in.Tenant.Spec.Hostnames, v1alpha1.Hostname(host))
			}
			in.TrustBundle, _ = selfSigned(t, "authority")
			if said, err := exec.Command(program, "-c", "-dW", "-f", layOut(t, in)).CombinedOutput(); err != nil {
				t.Fatalf("HAProxy refuses the configuration: %v\n%s", err, said)
			}
			g := startGate(t, in, app.Listener.Addr().String())
			for _, host := range hosts {
				if answer := g.mustGet(host, "/", nil); answer.status != http.StatusOK || !strings.Contains(answer.body, `"host":"`+host+`"`) {
					t.Errorf("asked as %s it answers %d: %s", host, answer.status, answer.body)
				}
			}
			if answer := g.mustGet("acme.example.com", "/", nil); answer.status != http.StatusMisdirectedRequest {
				t.Errorf("asked as somebody else it answers %d", answer.status)
			}
		})
	}
}

// A pattern file has signs of its own; paths that are allowed and look like them are taken without a warning.
func TestOddButAllowedLoginPathsMeanNothingToHAProxy(t *testing.T) {
	program := haproxyProgram(t)
	in := miniflux()
	in.TrustBundle, _ = selfSigned(t, "authority")
	in.Class.Spec.Edge.Logins = &v1alpha1.ClassLogins{Paths: []v1alpha1.LoginPath{
		"/", "/*", "/-f", "/-m/reg", "/@edge/site", "/+", "/~", "/:80", "/.well-known/login", "/...", "/proc/self/environ", "/" + v1alpha1.LoginPath(strings.Repeat("a", 254))}}
	config := layOut(t, in)
	for _, key := range []string{meta.KeyLoginsList, meta.KeyLoginPrefixesList} {
		write(t, filepath.Join(filepath.Dir(config), key), revisionFile(t, mustRevision(t, in), key))
	}
	said, err := exec.Command(program, "-c", "-dW", "-V", "-f", config).CombinedOutput()
	if err != nil || !strings.Contains(string(said), "Configuration file is valid") {
		t.Errorf("HAProxy refuses the configuration: %v\n%s", err, said)
	}
}

func TestOddButAllowedNamesMeanNothingToPostgreSQL(t *testing.T) {
	for _, names := range [][2]string{{"select", "user"}, {"current_user", "session_user"}, {"include", "include_dir"}, {"_", "_"},
		{"samegroup_", "all_"}, {strings.Repeat("d", 63), strings.Repeat("u", 63)}} {
		t.Run(names[0][:1]+fmt.Sprint(len(names[0])), func(t *testing.T) {
			in := miniflux()
			in.Class.Spec.Database.Name, in.Class.Spec.Database.User = v1alpha1.Identifier(names[0]), v1alpha1.Identifier(names[1])
			// A rule lets in the one role to the one database: PostgreSQL says itself how it reads the file.
			has := server(t, in, problems+` UNION ALL SELECT concat_ws(' ', type, database::text, user_name::text, address, auth_method)
				FROM pg_hba_file_rules WHERE type = 'hostssl'`)
			want := fmt.Sprintf("hostssl {%s} {%s} 0.0.0.0 scram-sha-256\nhostssl {%s} {%s} :: scram-sha-256", names[0], names[1], names[0], names[1])
			if unquoted := strings.ReplaceAll(has, `"`, ""); unquoted != want {
				t.Errorf("PostgreSQL reads:\n%s\ninstead of:\n%s", has, want)
			}
		})
	}
}

// The list of plain words and the like is no list of exceptions by accident: each of them stands in it once more.
func TestWhatIsTakenIsHostile(t *testing.T) {
	for _, way := range inlets {
		for _, text := range way.takes {
			if !slices.Contains(hostile, text) {
				t.Errorf("%s takes %q, which is not among the hostile strings", way.name, text)
			}
		}
	}
}
