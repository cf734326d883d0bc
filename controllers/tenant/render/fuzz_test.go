// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

// accepted renders, and reports false when the user's string was refused. Any other error is a failure.
func accepted(t *testing.T, in render.Inputs) (*render.Objects, *render.Revision, bool) {
	t.Helper()
	objects, err := render.Live(in)
	var invalid *render.InvalidError
	if errors.As(err, &invalid) {
		return nil, nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	return objects, mustRevision(t, in), true
}

// directives are the lines of a configuration file that are neither empty nor comments.
func directives(text string) []string { return entries(text) }

var nasty = []string{
	"ok.example.com", "a.b\nbind :80", "a.b #", "a.b\x00c", "*.example.com", "a..b", "-a.b", "a.b-", "a.b'", `a.b"`, "a.b\\", "${HOME}.b",
	"%[src].b", "a.b\r\nX-Evil: 1", "ä.example", strings.Repeat("a", 64) + ".b", "A.B", "a b.c", "a.b\u2028c",
}

func FuzzHostnamesAddNothingToTheGate(f *testing.F) {
	for _, seed := range slices.Concat(nasty, hostile) {
		f.Add(seed)
	}
	f.Fuzz(checkHostname)
}

func checkHostname(t *testing.T, name string) {
	t.Helper()
	in := miniflux()
	usual := directives(haproxyConf(t, in))
	in.Tenant.Spec.Hostnames = []v1alpha1.Hostname{v1alpha1.Hostname(name)}
	objects, revision, ok := accepted(t, in)
	if !ok {
		return
	}
	equal(t, "directives of haproxy.cfg", directives(revisionFile(t, revision, meta.KeyHAProxyConf)), usual)
	equal(t, "names in the gate's list", entries(configMapNamed(objects, meta.EdgeListsConfigMap).Data[meta.KeyHostsList]), []string{name})
}

func FuzzTenantNamesAddNothingToTheGate(f *testing.F) {
	for _, seed := range slices.Concat(nasty, hostile, []string{"acme", "a-b", strings.Repeat("x", 57)}) {
		f.Add(seed)
	}
	f.Fuzz(checkTenantName)
}

func checkTenantName(t *testing.T, name string) {
	t.Helper()
	in := miniflux()
	usual := strings.Join(directives(haproxyConf(t, in)), "\n")
	in.Tenant.Name = name
	_, revision, ok := accepted(t, in)
	if !ok {
		return
	}
	want := strings.ReplaceAll(usual, "app.tenant-acme.svc", "app.tenant-"+name+".svc")
	if has := strings.Join(directives(revisionFile(t, revision, meta.KeyHAProxyConf)), "\n"); has != want {
		t.Errorf("the Tenant's name %q changes more than the application's address:\n%s", name, has)
	}
}

func FuzzParametersAddOneLineToPostgreSQL(f *testing.F) {
	for _, seed := range [][2]string{{"work_mem", "8MB"}, {"work_mem", "8MB'\narchive_mode = 'on"}, {"work_mem", `\`}, {"work_mem", "''"},
		{"work_mem\nfsync", "off"}, {"include", "/etc/passwd"}, {"work_mem", " "}, {"work_mem", "#"}, {"a = b", "c"}, {"", ""}, {"timezone", "Europe/Vienna"}} {
		f.Add(seed[0], seed[1])
	}
	for _, seed := range hostile {
		f.Add("work_mem", seed)
		f.Add(seed, "8MB")
	}
	f.Fuzz(checkParameter)
}

func checkParameter(t *testing.T, name, value string) {
	t.Helper()
	in := miniflux()
	usual := directives(revisionFile(t, mustRevision(t, in), meta.KeyPostgreSQLConf))
	if name == "max_connections" {
		return // What is computed from it may change as well.
	}
	in.Class.Spec.Database.Parameters = v1alpha1.PostgreSQLParameters{name: v1alpha1.PostgreSQLValue(value)}
	_, revision, ok := accepted(t, in)
	if !ok {
		return
	}
	has := directives(revisionFile(t, revision, meta.KeyPostgreSQLConf))
	equal(t, "lines of postgresql.conf", has, append(usual, name+" = '"+value+"'"))
	if strings.ContainsAny(name+value, "'\"\\\n\r#") {
		t.Errorf("%q = %q is accepted", name, value)
	}
}

func FuzzIdentifiersStayInTheirPlace(f *testing.F) {
	for _, seed := range [][2]string{{"app", "app"}, {`app" "postgres`, "app"}, {"app", "all\nhost all all all trust"}, {"+app", "@file"}, {"/re", "app"}, {"a,b", "c"}, {"", "x"}} {
		f.Add(seed[0], seed[1])
	}
	for _, seed := range hostile {
		f.Add("app", seed)
		f.Add(seed, "app")
	}
	f.Fuzz(checkIdentifiers)
}

func checkIdentifiers(t *testing.T, database, user string) {
	t.Helper()
	in := miniflux()
	usual := directives(revisionFile(t, mustRevision(t, in), meta.KeyHBAConf))
	in.Class.Spec.Database.Name, in.Class.Spec.Database.User = v1alpha1.Identifier(database), v1alpha1.Identifier(user)
	_, revision, ok := accepted(t, in)
	if !ok || database == "" || user == "" {
		return
	}
	for i, line := range usual {
		usual[i] = strings.ReplaceAll(line, `"app" "app"`, `"`+database+`" "`+user+`"`)
	}
	equal(t, "rules of pg_hba.conf", directives(revisionFile(t, revision, meta.KeyHBAConf)), usual)
	if strings.ContainsAny(database+user, "\"'\n\r,+@/ ") {
		t.Errorf("database %q and user %q are accepted", database, user)
	}
}

func FuzzPlainVariablesAreNeverExpanded(f *testing.F) {
	for _, seed := range slices.Concat(nasty, hostile, []string{"$(PATH)", "$$(PATH)", "Acme & Sons"}) {
		f.Add(seed)
	}
	f.Fuzz(checkPlain)
}

func checkPlain(t *testing.T, text string) {
	t.Helper()
	in := dex()
	in.Tenant.Spec.DisplayName = text
	in.Class.Spec.App.Env = append(in.Class.Spec.App.Env, v1alpha1.EnvVar{Name: "X", Value: text})
	_, revision, ok := accepted(t, in)
	if !ok {
		return
	}
	for _, variable := range revision.App.Spec.Template.Spec.Containers[0].Env {
		if variable.Value != nil && strings.ContainsAny(*variable.Value, "$\"'#\\\n\r\x00") {
			t.Errorf("%s has the value %q", *variable.Name, *variable.Value)
		}
	}
}

func FuzzNetworksStayNetworks(f *testing.F) {
	for _, seed := range [][2]string{{"198.51.100.0/24", "198.51.100.128/25"}, {"0.0.0.0/0", "10.0.0.0/8"}, {"198.51.100.7/24", "::/0"}, {"198.51.100.0/24\n0.0.0.0/0", ""},
		{"198.51.100.0/024", "1.2.3.4"}, {"::ffff:198.51.100.0/120", "%eth0"}, {"198.51.100.0/24 # all", "!198.51.100.0/24"}, {"0x7f.0.0.0/8", "-"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(checkNetworks)
}

func checkNetworks(t *testing.T, allowed, denied string) {
	t.Helper()
	in := miniflux()
	usual := directives(haproxyConf(t, in))
	in.Tenant.Spec.Network = v1alpha1.TenantNetwork{Access: v1alpha1.AccessRestricted,
		AllowedRanges: []v1alpha1.CIDR{v1alpha1.CIDR(allowed)}, DeniedRanges: []v1alpha1.CIDR{v1alpha1.CIDR(denied)}}
	objects, revision, ok := accepted(t, in)
	if !ok {
		return
	}
	equal(t, "directives of haproxy.cfg", directives(revisionFile(t, revision, meta.KeyHAProxyConf)), usual)
	lists := configMapNamed(objects, meta.EdgeListsConfigMap).Data
	for key, text := range map[string]string{meta.KeyAllowedList: allowed, meta.KeyDeniedList: denied} {
		equal(t, "networks in "+key, entries(lists[key]), []string{text})
		if network, err := netip.ParsePrefix(text); err != nil || network.Masked().String() != text || !network.Addr().Is4() {
			t.Errorf("%s takes %q", key, text)
		}
	}
}

func FuzzLoginPathsAddNothingToTheGate(f *testing.F) {
	for _, seed := range slices.Concat(nasty, hostile, []string{"/login", "/auth/*", "/*", "/", "/a/../b", "/login\n/", "//", "/#", "/%2e", "/a b", "/**"}) {
		f.Add(seed)
	}
	f.Fuzz(checkLogin)
}

func checkLogin(t *testing.T, login string) {
	t.Helper()
	in := miniflux()
	in.Class.Spec.Edge.Logins = &v1alpha1.ClassLogins{Paths: []v1alpha1.LoginPath{"/login"}}
	usual := directives(haproxyConf(t, in))
	in.Class.Spec.Edge.Logins.Paths[0] = v1alpha1.LoginPath(login)
	_, revision, ok := accepted(t, in)
	if !ok {
		return
	}
	equal(t, "directives of haproxy.cfg", directives(revisionFile(t, revision, meta.KeyHAProxyConf)), usual)
	if folder, below := strings.CutSuffix(login, "*"); below {
		equal(t, "beginnings of login paths", entries(revisionFile(t, revision, meta.KeyLoginPrefixesList)), []string{folder})
		return
	}
	want := []string{login, login + "/"}
	if login == "/" {
		want = want[:1]
	}
	equal(t, "login paths", entries(revisionFile(t, revision, meta.KeyLoginsList)), want)
	if strings.ContainsAny(login, " #\"'\\\r\n\t%") || !strings.HasPrefix(login, "/") {
		t.Errorf("the login path %q is accepted", login)
	}
}

func FuzzVariablesNeverReadSecretsOfFreehold(f *testing.F) {
	for _, seed := range []string{"pocket", "freehold-ca", "freehold-", "Freehold-ca", " freehold-ca", "freehold-database\x00", "./freehold-ca", "freehold_ca"} {
		f.Add(seed)
	}
	f.Fuzz(checkSecret)
}

func checkSecret(t *testing.T, name string) {
	t.Helper()
	in := miniflux()
	in.Class.Spec.App.Env = append(in.Class.Spec.App.Env, v1alpha1.EnvVar{Name: "X",
		SecretKeyRef: &v1alpha1.SecretKeyReference{SecretReference: v1alpha1.SecretReference{Name: name}, Key: "key"}})
	_, revision, ok := accepted(t, in)
	if !ok {
		return
	}
	if strings.HasPrefix(name, "freehold-") {
		t.Errorf("a variable may read Secret %q", name)
	}
	checkPod(t, name, revision)
}

// Fuzzing proper is `go test -fuzz`; this draws strings that are often nearly valid on every run of the tests.
func TestRandomStringsOfUsersStayInTheirPlace(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	pieces := append([]string{"a", "b1", "app", "work_mem", "8MB", ".", "-", "_", " ", "example", "com", "0", "/", "+", "all", "'", "\n", "#", "$("}, nasty[1])
	draw := func() string {
		var text strings.Builder
		for range 1 + random.IntN(5) {
			text.WriteString(pieces[random.IntN(len(pieces))])
		}
		return text.String()
	}
	for range 300 {
		checkHostname(t, draw())
		checkTenantName(t, draw())
		checkParameter(t, draw(), draw())
		checkIdentifiers(t, draw(), draw())
		checkPlain(t, draw())
		checkNetworks(t, draw(), draw())
		checkSecret(t, draw())
		checkLogin(t, "/"+draw())
	}
}
