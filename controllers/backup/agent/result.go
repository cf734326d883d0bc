// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"github.com/freehold-dev/freehold/controllers/backup/engine"
	"github.com/freehold-dev/freehold/controllers/internal/command"
	"github.com/freehold-dev/freehold/controllers/internal/conditions"
)

// mostMessage bounds each message in a Result, in bytes.
const mostMessage = 1000

// report leaves the result as the container's last words, with the failure in it, and returns the error.
func report(log *slog.Logger, result engine.Result, err error) error {
	result.Failure = failureOf(err)
	return leave(log, result, result.Failure, result.Expiry, err)
}

// reportFiles does the same with what became of the application's data.
func reportFiles(log *slog.Logger, result engine.FilesResult, err error) error {
	result.Failure = failureOf(err)
	return leave(log, result, result.Failure, result.Expiry, err)
}

func failureOf(err error) *engine.Failure {
	if err == nil {
		return nil
	}
	failure := asFailure(err)
	return &failure
}

func leave(log *slog.Logger, result any, failure *engine.Failure, expiry *engine.Expiry, err error) error {
	encoded, encodeErr := encode(result, failure, expiry)
	if encodeErr != nil {
		return encodeErr
	}
	command.Tell(string(encoded))
	log.Info("result", "result", json.RawMessage(encoded))
	return command.Told(err)
}

// encode cuts what is long in a result, its failure and its expiry, until the kubelet keeps all of it.
func encode(result any, failure *engine.Failure, expiry *engine.Expiry) ([]byte, error) {
	for most := mostMessage; ; most /= 2 {
		shorten(failure, most)
		if expiry != nil {
			shorten(expiry.Failure, most)
		}
		encoded, err := json.Marshal(result)
		if err != nil {
			return nil, fmt.Errorf("write the result: %w", err)
		}
		if len(encoded) <= command.MostLastWords || most < 10 {
			return encoded, nil
		}
		if expiry != nil {
			expiry.Removed = expiry.Removed[:len(expiry.Removed)/2]
		}
	}
}

func shorten(failure *engine.Failure, most int) {
	if failure != nil {
		failure.Message = conditions.Shorten(failure.Message, most)
	}
}
