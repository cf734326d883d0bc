// SPDX-License-Identifier: Apache-2.0

package images

import (
	"slices"
	"testing"
)

func TestPackagesComeFromTheMirrorsOfTheMachine(t *testing.T) {
	rows := []struct{ name, uris, debian, security string }{
		{
			"a machine with mirrors of its own",
			"https://packages.example.com/apt/\nhttp://mirror.example.net/debian/\nhttp://other.example.net/debian/\nhttp://mirror.example.net/debian-security/\n",
			"http://mirror.example.net/debian", "http://mirror.example.net/debian-security",
		},
		{
			"an Ubuntu machine", "http://archive.ubuntu.com/ubuntu/\n",
			"http://ftp.debian.org/debian", "http://security.debian.org/debian-security",
		},
		{
			"a machine that installs from a disc", "cdrom://Debian/debian/\nfile:/srv/debian/\n",
			"http://ftp.debian.org/debian", "http://security.debian.org/debian-security",
		},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			got := pickMirrors(row.uris)
			if got.debian != row.debian || got.security != row.security {
				t.Errorf("got %q and %q, want %q and %q", got.debian, got.security, row.debian, row.security)
			}
		})
	}
}

func TestSourcesNameUpdatesAndSecurity(t *testing.T) {
	got := mirrors{debian: "http://m/debian", security: "http://m/debian-security"}.sourcesList()
	want := "deb http://m/debian trixie main\ndeb http://m/debian trixie-updates main\ndeb http://m/debian-security trixie-security main\n"
	if got != want {
		t.Errorf("got sources\n%swant\n%s", got, want)
	}
}

func TestProxiesOfTheMachineAreUsed(t *testing.T) {
	dump := "APT \"\";\nAcquire::http \"\";\nAcquire::http::Proxy \"http://proxy.example:3128\";\nAcquire::https::Proxy::a.example \"DIRECT\";\nAcquire::Retries \"3\";\n"
	want := []string{`Acquire::http::Proxy "http://proxy.example:3128";`, `Acquire::https::Proxy::a.example "DIRECT";`}
	if got := pickProxies(dump); !slices.Equal(got, want) {
		t.Errorf("got proxy lines %q, want %q", got, want)
	}
}
