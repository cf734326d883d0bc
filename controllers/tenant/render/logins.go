// SPDX-License-Identifier: Apache-2.0

package render

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/freehold-dev/freehold/api/v1alpha1"
	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

const (
	defaultMaxFailures  = 10
	defaultMaxRequests  = 60
	defaultLoginPeriod  = 60
	defaultBlockSeconds = 600
)

var loginPathPattern = regexp.MustCompile(`^((/[A-Za-z0-9._~@:+-]+)+(/\*)?|/\*?)$`)

// loginValues fill the part of HAProxy's configuration that limits logins. The paths stand in lists beside it.
type loginValues struct {
	Table, RefusedTable       string
	Exact, Prefixes           string
	FailureStatuses           string
	MaxFailures, MaxRequests  int32
	PeriodSeconds             int32
	BlockSeconds, KeepSeconds int32
	PeersPort                 int
}

// loginSettings are nil where a class limits no logins.
func loginSettings(logins *v1alpha1.ClassLogins) *loginValues {
	if logins == nil {
		return nil
	}
	statuses := slices.Clone(logins.FailureStatuses)
	if len(statuses) == 0 {
		statuses = []int32{401, 403}
	}
	slices.Sort(statuses)
	texts := make([]string, 0, len(statuses))
	for _, status := range statuses {
		texts = append(texts, strconv.Itoa(int(status)))
	}
	period, block := or(logins.PeriodSeconds, defaultLoginPeriod), or(logins.BlockSeconds, defaultBlockSeconds)
	return &loginValues{
		Table: path.Base(meta.TableLogins), RefusedTable: path.Base(meta.TableRefused),
		Exact: meta.ConfigDir + "/" + meta.KeyLoginsList, Prefixes: meta.ConfigDir + "/" + meta.KeyLoginPrefixesList,
		FailureStatuses: strings.Join(texts, " "),
		MaxFailures:     or(logins.MaxFailures, defaultMaxFailures), MaxRequests: or(logins.MaxRequests, defaultMaxRequests),
		PeriodSeconds: period, BlockSeconds: block, KeepSeconds: max(period, block),
		PeersPort: meta.PortEdgePeers,
	}
}

// loginLists are the paths as HAProxy compares them: exact ones with and without a slash at the end, and what paths
// below a folder begin with.
func loginLists(logins *v1alpha1.ClassLogins) map[string]string {
	var exact, prefixes []string
	for _, login := range logins.Paths {
		text := string(login)
		if folder, below := strings.CutSuffix(text, "*"); below {
			prefixes = append(prefixes, folder)
			continue
		}
		exact = append(exact, text)
		if text != "/" {
			exact = append(exact, text+"/")
		}
	}
	slices.Sort(exact)
	slices.Sort(prefixes)
	return map[string]string{
		meta.KeyLoginsList:        list("paths under which clients log in", exact),
		meta.KeyLoginPrefixesList: list("what such paths begin with", prefixes),
	}
}

// checkLogins refuses paths that the CRD would refuse.
func checkLogins(in Inputs) error {
	logins := in.Class.Spec.Edge.Logins
	if logins == nil {
		return nil
	}
	for _, login := range logins.Paths {
		segments := strings.Split(string(login), "/")
		if len(login) > 255 || !loginPathPattern.MatchString(string(login)) || slices.Contains(segments, ".") || slices.Contains(segments, "..") {
			return invalid("spec.edge.logins.paths of class %s: %q is not a path such as /login, or /auth/* for everything below one", in.Class.Name, login)
		}
	}
	return nil
}
