// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHandlerAnswersYesNoAndNothingElse(t *testing.T) {
	handler := Handler(map[string]Answer{
		"/yes": func() (any, bool) { return map[string]string{"state": "ready"}, true },
		"/no":  func() (any, bool) { return map[string]string{"state": "broken"}, false },
	})
	for _, tc := range []struct {
		method, path string
		code         int
		body         string
	}{
		{http.MethodGet, "/yes", http.StatusOK, `{"state":"ready"}`},
		{http.MethodGet, "/no", http.StatusServiceUnavailable, `{"state":"broken"}`},
		{http.MethodGet, "/other", http.StatusNotFound, "404 page not found"},
		{http.MethodPost, "/yes", http.StatusMethodNotAllowed, "Method Not Allowed"},
	} {
		got := httptest.NewRecorder()
		handler.ServeHTTP(got, httptest.NewRequest(tc.method, tc.path, nil))
		if got.Code != tc.code || strings.TrimSpace(got.Body.String()) != tc.body {
			t.Errorf("%s %s: %d %q, want %d %q", tc.method, tc.path, got.Code, got.Body, tc.code, tc.body)
		}
	}
}
