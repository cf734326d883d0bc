// SPDX-License-Identifier: Apache-2.0

package render_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/tenant/render"
)

func TestLoginPathsAreListsBesideTheConfiguration(t *testing.T) {
	revision := mustRevision(t, limited())
	equal(t, "exact paths", entries(revisionFile(t, revision, meta.KeyLoginsList)), []string{"/", "/login", "/login/"})
	equal(t, "what paths begin with", entries(revisionFile(t, revision, meta.KeyLoginPrefixesList)), []string{"/auth/"})
	text := revisionFile(t, revision, meta.KeyHAProxyConf)
	for _, want := range []string{"{ status 200 403 }", "sc0_gpc0_rate gt 60", "sc0_gpc1_rate ge 10", "expire 600s", "gpc0_rate(60s)", "date(600)"} {
		if !strings.Contains(text, want) {
			t.Errorf("by default the configuration lacks %q", want)
		}
	}
	if strings.Contains(text, "/auth") {
		t.Error("what a user wrote stands in HAProxy's configuration")
	}
}

func TestAClassWithoutLimitsHasNothingOfThem(t *testing.T) {
	if text := haproxyConf(t, miniflux()); strings.Contains(text, "peers") || strings.Contains(text, "login") || strings.Contains(text, "429") {
		t.Errorf("the configuration speaks of logins:\n%s", text)
	}
}

func TestLoginPathsThatAreNoneAreRefused(t *testing.T) {
	for _, path := range []v1alpha1.LoginPath{"", "login", "/login/", "/a b", "/a\nb", "/#", "/a/../b", "/./a", "/**", "/a*", `/a"b`, "/$HOME", "//"} {
		in := limited()
		in.Class.Spec.Edge.Logins.Paths = []v1alpha1.LoginPath{path}
		var mistake *render.InvalidError
		if _, err := render.NewRevision(in); !errors.As(err, &mistake) || !strings.Contains(err.Error(), "spec.edge.logins.paths of class miniflux") {
			t.Errorf("%q: %v", path, err)
		}
	}
}
