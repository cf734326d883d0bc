// SPDX-License-Identifier: Apache-2.0

package testenv

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"

	"k8s.io/client-go/rest"
)

// Requests records what a client asked of the API server.
type Requests struct {
	mu   sync.Mutex
	seen []Request
}

// Request is one request as the API server saw it.
type Request struct {
	// Method is the HTTP method, Path the path with query.
	Method, Path string
	// Watch says that it was a watch; its first answer may carry the whole list.
	Watch bool
}

// IsWrite reports whether the request changed something or tried to.
func (r Request) IsWrite() bool { return r.Method != http.MethodGet && r.Method != http.MethodHead }

// String is how the request reads in a failed test.
func (r Request) String() string { return r.Method + " " + r.Path }

// Counting is a copy of config whose clients record every request.
func Counting(config *rest.Config) (*rest.Config, *Requests) {
	requests := &Requests{}
	counted := rest.CopyConfig(config)
	counted.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			requests.add(request)
			return next.RoundTrip(request)
		})
	})
	return counted, requests
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls the function.
func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func (r *Requests) add(request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, Request{
		Method: request.Method,
		Path:   request.URL.RequestURI(),
		Watch:  request.URL.Query().Get("watch") == "true",
	})
}

// Reset forgets what was seen.
func (r *Requests) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = nil
}

// Seen is everything since the last Reset that match accepts.
func (r *Requests) Seen(match func(Request) bool) []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(r.seen), func(request Request) bool { return !match(request) })
}

// discovery is how a client learns the API: /api, /apis, /api/v1, /apis/<group>/<version>.
var discovery = regexp.MustCompile(`^/api(s|/v1)?$|^/apis/[^/]+/[^/]+$`)

// Reconciling is everything since the last Reset that is neither a watch, nor discovery, nor leader election, nor
// an event: what reconciling itself asked for.
func (r *Requests) Reconciling() []Request {
	return r.Seen(func(request Request) bool {
		path, _, _ := strings.Cut(request.Path, "?")
		return !request.Watch && !discovery.MatchString(path) &&
			!strings.Contains(path, "/leases") && !strings.Contains(path, "/events")
	})
}
