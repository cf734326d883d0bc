// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"errors"
	"math/rand/v2"
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
	for _, seed := range nasty {
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
	for _, seed := range append(nasty, "acme", "a-b", strings.Repeat("x", 57)) {
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
	for _, seed := range append(nasty, "$(PATH)", "$$(PATH)", "Acme & Sons") {
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
	}
}
