// SPDX-License-Identifier: Apache-2.0

package edge

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
	"github.com/freehold-dev/freehold/controllers/internal/process"
)

// reloadTimeout bounds a reload: HAProxy answers once the new process has loaded its configuration.
const reloadTimeout = 30 * time.Second

// haproxy is the program with its master process.
type haproxy struct {
	config   Config
	children *process.Children
}

// loadable says why certificate and key cannot be used, if so.
func (h haproxy) loadable() error {
	dir := h.config.TLSDir
	if _, err := tls.LoadX509KeyPair(filepath.Join(dir, meta.KeyTLSCert), filepath.Join(dir, meta.KeyTLSKey)); err != nil {
		return fmt.Errorf("certificate and key do not load: %w", err)
	}
	return nil
}

// check asks HAProxy whether it would start with the files there are now.
func (h haproxy) check(ctx context.Context) error {
	if err := h.loadable(); err != nil {
		return err
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, h.config.HAProxy, "-c", "-f", h.config.configFile())
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := h.children.Run(cmd); err != nil {
		return fmt.Errorf("haproxy refuses the configuration: %w; it said:\n%s", err, &said)
	}
	return nil
}

// start starts the master, which starts the worker, in the foreground.
func (h haproxy) start() (*process.Child, error) {
	cmd := exec.Command(h.config.HAProxy, "-W", "-db", "-S", h.config.masterSocket(), "-f", h.config.configFile())
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return h.children.Start(cmd)
}

// reload makes a new worker take over the listening sockets; the old one serves its connections to their end.
func (h haproxy) reload(ctx context.Context) error {
	if err := h.check(ctx); err != nil {
		return err
	}
	// The same as SIGUSR2, but the command answers whether it worked.
	answer, err := h.command(ctx, "reload")
	if err != nil {
		return fmt.Errorf("ask the haproxy master to reload: %w", err)
	}
	if !reloaded(answer) {
		return fmt.Errorf("haproxy could not reload and goes on as it was; it said:\n%s", answer)
	}
	return nil
}

// reloaded reads the master's answer: its first line is Success=1 or Success=0.
func reloaded(answer string) bool {
	first, _, _ := strings.Cut(answer, "\n")
	return strings.TrimSpace(first) == "Success=1"
}

// command sends one line to the master and returns all that it answers.
func (h haproxy) command(ctx context.Context, line string) (string, error) {
	return ask(ctx, h.config.masterSocket(), line)
}

// ask sends one line to a socket of HAProxy and returns all that it answers.
func ask(ctx context.Context, socket, line string) (answer string, err error) {
	ctx, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		return "", err
	}
	// The master answers one command after the other until it hears that there is none left.
	if unix, ok := conn.(*net.UnixConn); ok {
		if err := unix.CloseWrite(); err != nil {
			return "", err
		}
	}
	all, err := io.ReadAll(conn)
	return string(all), err
}
