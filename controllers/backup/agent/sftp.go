// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"k8s.io/utils/clock"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/command"
)

// sftpTimeout bounds how long a server may take until it has let the user in.
const sftpTimeout = 30 * time.Second

// sftp is what restic speaks SFTP through: the instance's image has no SSH client, and the host key is pinned here. Its
// failures stand in restic's log.
func sftp() *cobra.Command {
	var server engine.SFTPServer
	leaf := command.Leaf("sftp", "Connect restic to an SFTP server whose host key is pinned", func(ctx context.Context, _ *slog.Logger) (int, error) {
		// The container's last words are those of the command that runs restic.
		return command.Failure(command.Told(ConnectSFTP(ctx, server, os.Stdin, os.Stdout)))
	})
	flags := leaf.Flags()
	flags.StringVar(&server.Host, "host", "", "host of the server (required)")
	flags.Int32Var(&server.Port, "port", 22, "port of the server")
	flags.StringVar(&server.User, "user", "", "user to log in as (required)")
	flags.StringVar(&server.HostKeyFingerprint, "host-key-fingerprint", "", "SHA-256 fingerprint of the server's host key (required)")
	flags.StringVar(&server.KeyFile, "key-file", "", "file with the user's private key (required)")
	return leaf
}

// ConnectSFTP lets what reads and writes the streams speak SFTP with the server, until the input or ctx ends.
func ConnectSFTP(ctx context.Context, server engine.SFTPServer, in io.Reader, out io.Writer) error {
	raw, err := os.ReadFile(server.KeyFile)
	if err != nil {
		return fmt.Errorf("read the private key for the SFTP server: %w", err)
	}
	key, err := ssh.ParsePrivateKey(raw)
	if err != nil {
		return errors.New("the private key for the SFTP server cannot be understood") // The cause might show some of it.
	}
	client, err := dialSSH(ctx, server, key)
	if err != nil {
		return err
	}
	defer client.Close() //nolint:errcheck // the session has ended, or is given up.
	session, err := client.NewSession()
	if err != nil {
		return fmt.Errorf("open a session with the SFTP server: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = client.Close() }) // Ends the session.
	defer stop()
	input, errIn := session.StdinPipe()
	output, errOut := session.StdoutPipe()
	if err := errors.Join(errIn, errOut, session.RequestSubsystem("sftp")); err != nil {
		return fmt.Errorf("the SSH server does not offer SFTP: %w", err)
	}
	go func() {
		_, _ = io.Copy(input, in) // Either end of it has gone: the other direction tells.
		_ = input.Close()
	}()
	if _, err := io.Copy(out, output); err != nil {
		return fmt.Errorf("the connection with the SFTP server broke: %w", err)
	}
	return ctx.Err()
}

// hostKeyKinds are tried one after the other: a server has a key of each kind, and shows the one that it is asked for.
// Which kind was pinned does not show in a fingerprint.
var hostKeyKinds = [][]string{
	{ssh.KeyAlgoED25519},
	{ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521},
	{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256},
}

// errOtherKey is why a handshake was broken off before the user's key was shown.
var errOtherKey = errors.New("another host key")

func dialSSH(ctx context.Context, server engine.SFTPServer, key ssh.Signer) (*ssh.Client, error) {
	var shown []string
	var last error
	for _, kinds := range hostKeyKinds {
		config := &ssh.ClientConfig{
			User: server.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyAlgorithms: kinds,
			HostKeyCallback: func(_ string, _ net.Addr, theirs ssh.PublicKey) error {
				if fingerprint := ssh.FingerprintSHA256(theirs); fingerprint != server.HostKeyFingerprint {
					shown = append(shown, fingerprint)
					return errOtherKey
				}
				return nil
			},
		}
		client, err := handshake(ctx, net.JoinHostPort(server.Host, strconv.Itoa(int(server.Port))), config)
		var negotiation *ssh.AlgorithmNegotiationError
		switch {
		case err == nil:
			return client, nil
		case errors.Is(err, errOtherKey):
		case errors.As(err, &negotiation):
			last = err
		default:
			return nil, err
		}
	}
	if len(shown) == 0 {
		return nil, fmt.Errorf("no way to speak with the SFTP server was found: %w", last)
	}
	return nil, fmt.Errorf("%s: it shows %v, the policy pins %s", engine.OtherHostKey, shown, server.HostKeyFingerprint)
}

func handshake(ctx context.Context, address string, config *ssh.ClientConfig) (*ssh.Client, error) {
	dialer := net.Dialer{Timeout: sftpTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to the SFTP server: %w", err)
	}
	// The network's deadlines are of the real clock.
	if err := conn.SetDeadline(clock.RealClock{}.Now().Add(sftpTimeout)); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to the SFTP server: %w", err), conn.Close())
	}
	through, channels, requests, err := ssh.NewClientConn(conn, address, config)
	switch {
	case err != nil && strings.Contains(err.Error(), "unable to authenticate"): // The package has no type for it.
		return nil, errors.Join(fmt.Errorf("%s: %w", engine.SSHKeyRefused, err), conn.Close())
	case err != nil:
		return nil, errors.Join(fmt.Errorf("speak with the SFTP server: %w", err), conn.Close())
	}
	return ssh.NewClient(through, channels, requests), conn.SetDeadline(time.Time{})
}
