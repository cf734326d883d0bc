// SPDX-License-Identifier: Apache-2.0

package database

import (
	"net/http"

	"github.com/freehold-dev/freehold/controllers/tenant/agent/internal/probe"
)

// handler serves the kubelet's three questions.
func (o *observer) handler() http.Handler {
	ask := func(about func(Status) bool) probe.Answer {
		return func() (any, bool) {
			status := o.current()
			return status, about(status)
		}
	}
	return probe.Handler(map[string]probe.Answer{
		"/startup": ask(Status.started), "/live": ask(Status.live), "/ready": ask(Status.ready),
	})
}

// started: it took connections once. Until then the kubelet asks nothing else, so a long recovery is not killed.
func (s Status) started() bool { return s.accepted }

// live: restarting it would not help, or would do harm.
func (s Status) live() bool { return s.Condition != Broken }

// ready: the application can connect and query.
func (s Status) ready() bool { return s.Condition == Ready }
