// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/freehold-dev/freehold/controllers/internal/meta"
)

// reportTimeout bounds each part of a request for the report.
const reportTimeout = 10 * time.Second

// listen serves the report over HTTPS until ctx ends. It returns when the port is open; a failure after that ends up in
// the channel.
func (a *archiver) listen(ctx context.Context) (<-chan error, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", a.config.ReportAddress)
	if err != nil {
		return nil, fmt.Errorf("open the port of the report: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /report", a.answer)
	server := &http.Server{
		Handler: mux, ReadTimeout: reportTimeout, WriteTimeout: reportTimeout, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: a.config.certificate},
		ErrorLog:  slog.NewLogLogger(a.config.Log.Handler(), slog.LevelDebug),
	}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	failed := make(chan error, 1)
	go func() {
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve the report: %w", err)
		}
	}()
	return failed, nil
}

// certificate is the database's, as it is now.
func (c Config) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(c.TLSDir, meta.KeyTLSCert), filepath.Join(c.TLSDir, meta.KeyTLSKey))
	if err != nil {
		return nil, fmt.Errorf("load the certificate of the report: %w", err)
	}
	return &pair, nil
}

// answer tells the report to those who know the token. Without a token there is nothing to tell.
func (a *archiver) answer(w http.ResponseWriter, request *http.Request) {
	token, err := os.ReadFile(filepath.Join(a.config.BackupDir, meta.KeyStatusToken))
	want := strings.TrimSpace(string(token))
	if err != nil || want == "" {
		http.NotFound(w, request)
		return
	}
	got, _ := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
	if subtle.ConstantTimeCompare([]byte(got), []byte(want)) != 1 {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// The only error is a client that went away.
	_ = json.NewEncoder(w).Encode(a.current())
}
