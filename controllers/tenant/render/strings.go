// SPDX-License-Identifier: Apache-2.0

package render

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/freehold-dev/freehold/api/v1alpha1"
)

// The patterns of the CRDs, once more: what becomes configuration is not believed because an API server has, or
// should have, looked at it.
var (
	tenantNamePattern     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	hostnamePattern       = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)+$`)
	identifierPattern     = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}$`)
	parameterValuePattern = regexp.MustCompile(`^[A-Za-z0-9_./+-]([A-Za-z0-9_./+ -]*[A-Za-z0-9_./+-])?$`)
)

// checkInputs refuses strings that the CRDs would refuse, and what Tenant and class contradict each other in.
func checkInputs(in Inputs) error {
	return first(in, checkAlways, checkParameters, checkGate, checkLogins, checkEnvironment, checkFiles, checkMounts, checkTolerations)
}

// checkAlways refuses what not only a revision is made from.
func checkAlways(in Inputs) error { return first(in, checkNames, checkHostnames) }

func first(in Inputs, checks ...func(Inputs) error) error {
	for _, check := range checks {
		if err := check(in); err != nil {
			return err
		}
	}
	return nil
}

func checkNames(in Inputs) error {
	if len(in.Tenant.Name) > 56 || !tenantNamePattern.MatchString(in.Tenant.Name) {
		return invalid("the Tenant's name %q cannot be part of a namespace's name", in.Tenant.Name)
	}
	for field, name := range map[string]string{"database.name": databaseName(in), "database.user": databaseUser(in)} {
		if !identifierPattern.MatchString(name) {
			return invalid("spec.%s of class %s: %q is not a PostgreSQL identifier of lower-case letters, digits and _", field, in.Class.Name, name)
		}
		if reserved(name) {
			return invalid("spec.%s of class %s: %q is a name that PostgreSQL or Freehold uses itself", field, in.Class.Name, name)
		}
	}
	port, _ := appPort(in)
	if port == 0 {
		return invalid("spec.app of class %s names neither port nor tlsPort", in.Class.Name)
	}
	return nil
}

// reserved reports whether a database or role of that name exists already, or means several of them.
func reserved(name string) bool {
	return strings.HasPrefix(name, "pg_") || strings.HasPrefix(name, "freehold") ||
		slices.Contains([]string{"postgres", "template0", "template1", "public", "none", "replication", "all", "sameuser", "samerole"}, name)
}

func checkHostnames(in Inputs) error {
	if len(in.Tenant.Spec.Hostnames) == 0 {
		return invalid("spec.hostnames is empty; name at least one")
	}
	for _, name := range hostnames(in) {
		if len(name) > 253 || !hostnamePattern.MatchString(name) {
			return invalid("spec.hostnames: %q is not a DNS name in lower case", name)
		}
	}
	return nil
}

func checkEnvironment(in Inputs) error {
	if !plain(displayName(in)) {
		return invalid("spec.displayName holds control characters, quotes, $, # or backslash")
	}
	for _, variable := range in.Class.Spec.App.Env {
		if !plain(variable.Value) {
			return invalid("spec.app.env of class %s: the value of %s holds control characters, quotes, $, # or backslash", in.Class.Name, variable.Name)
		}
		if ref := variable.SecretKeyRef; ref != nil && strings.HasPrefix(ref.Name, "freehold-") {
			return invalid("spec.app.env of class %s: %s names Freehold's own Secret %s", in.Class.Name, variable.Name, ref.Name)
		}
		_, tls := appPort(in)
		needsTLS := variable.Source == v1alpha1.EnvTLSCertificateFile || variable.Source == v1alpha1.EnvTLSKeyFile
		if needsTLS && !tls {
			return invalid("spec.app.env of class %s: %s is a file that only an application with a tlsPort has; set tlsPort instead of port, or remove the variable", in.Class.Name, variable.Name)
		}
	}
	return nil
}

// checkTolerations looks at what is too dear for a rule of the API: an API server refuses a pod template with it.
func checkTolerations(in Inputs) error {
	spec := in.Class.Spec
	for _, part := range []struct {
		field      string
		scheduling v1alpha1.Scheduling
	}{{"app.pod", spec.App.Pod.Scheduling}, {"database", spec.Database.Scheduling}, {"edge", spec.Edge.Scheduling}} {
		for _, toleration := range part.scheduling.Tolerations {
			if toleration.Key != "" && len(validation.IsQualifiedName(toleration.Key)) > 0 {
				return invalid("spec.%s.scheduling.tolerations of class %s: %q cannot be the key of a taint", part.field, in.Class.Name, toleration.Key)
			}
			if len(validation.IsValidLabelValue(toleration.Value)) > 0 {
				return invalid("spec.%s.scheduling.tolerations of class %s: %q cannot be the value of a taint", part.field, in.Class.Name, toleration.Value)
			}
		}
	}
	return nil
}

// plain reports whether text holds nothing that any syntax we write could take for its own.
func plain(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) || strings.ContainsRune("\"'$#\\", r)
	})
}

// maxFilesBytes bounds the files of an application together: the revision that holds them is one object, and the
// API server stores none beyond 1.5 MiB.
const maxFilesBytes = 512 << 10

func checkFiles(in Inputs) error {
	total := 0
	for _, file := range in.Class.Spec.App.Files {
		total += len(file.Content)
	}
	if total > maxFilesBytes {
		return invalid("spec.app.files of class %s have %d bytes together; at most %d fit into a revision", in.Class.Name, total, maxFilesBytes)
	}
	return nil
}

// checkMounts refuses two things at one path, and files inside folders that the application writes to.
func checkMounts(in Inputs) error {
	app := in.Class.Spec.App
	taken := map[string]string{tmpDir: "Freehold's own folder for temporary files"}
	var writable []string
	claim := func(path v1alpha1.AbsolutePath, what string) error {
		if other, is := taken[string(path)]; is {
			return invalid("class %s: %s at %s is in the place of %s", in.Class.Name, what, path, other)
		}
		taken[string(path)] = what
		return nil
	}
	for _, path := range app.Pod.WritablePaths {
		if err := claim(path, "the writable path"); err != nil {
			return err
		}
		writable = append(writable, string(path))
	}
	if app.DataVolume != nil {
		if err := claim(app.DataVolume.MountPath, "the data volume"); err != nil {
			return err
		}
		writable = append(writable, string(app.DataVolume.MountPath))
	}
	for _, file := range app.Files {
		if err := claim(file.Path, "the file"); err != nil {
			return err
		}
		for _, folder := range append(writable, tmpDir) {
			if strings.HasPrefix(string(file.Path), folder+"/") {
				return invalid("spec.app.files of class %s: %s lies in %s, which the application writes to; files are read-only", in.Class.Name, file.Path, folder)
			}
		}
	}
	return nil
}
