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
	if err != nil {
		failure := asFailure(err)
		result.Failure = &failure
	}
	encoded, encodeErr := encode(result)
	if encodeErr != nil {
		return encodeErr
	}
	command.Tell(string(encoded))
	log.Info("result", "result", json.RawMessage(encoded))
	return command.Told(err)
}

// encode cuts what is long until the kubelet keeps all of it.
func encode(result engine.Result) ([]byte, error) {
	for most := mostMessage; ; most /= 2 {
		shorten(result.Failure, most)
		if result.Expiry != nil {
			shorten(result.Expiry.Failure, most)
		}
		encoded, err := json.Marshal(result)
		if err != nil {
			return nil, fmt.Errorf("write the result: %w", err)
		}
		if len(encoded) <= command.MostLastWords || most < 10 {
			return encoded, nil
		}
		if result.Expiry != nil {
			result.Expiry.Removed = result.Expiry.Removed[:len(result.Expiry.Removed)/2]
		}
	}
}

func shorten(failure *engine.Failure, most int) {
	if failure != nil {
		failure.Message = conditions.Shorten(failure.Message, most)
	}
}
