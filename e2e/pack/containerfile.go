package main

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strconv"
	"strings"
)

// fromContainerfile reads the image that a Containerfile describes: what one without a base and without RUN may say,
// one instruction a line. Everything else is an error, so that nothing is left out of the image without a word.
// https://docs.docker.com/reference/dockerfile/
func fromContainerfile(text string) (picture, error) {
	p := picture{Content: map[string]entry{}, Labels: map[string]string{}}
	based := false
	for number, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		instruction, rest, _ := strings.Cut(line, " ")
		rest = strings.ReplaceAll(strings.TrimSpace(rest), "${TARGETARCH}", runtime.GOARCH)
		words := strings.Fields(rest)
		wrong := func() (picture, error) { return p, fmt.Errorf("line %d: cannot read %q", number+1, line) }
		switch {
		case instruction == "ARG" && rest == "TARGETARCH":
		case instruction == "FROM" && rest == "scratch" && !based:
			based = true
		case instruction == "COPY" && based && len(words) == 2 && strings.HasPrefix(words[1], "/"):
			p.Content[words[1]] = entry{File: words[0]}
		case instruction == "USER" && len(words) == 1:
			p.User = rest
		case instruction == "LABEL":
			key, quoted, _ := strings.Cut(rest, "=")
			value, err := strconv.Unquote(quoted)
			if err != nil {
				return wrong()
			}
			p.Labels[key] = value
		case instruction == "ENTRYPOINT":
			if json.Unmarshal([]byte(rest), &p.Entrypoint) != nil {
				return wrong()
			}
		default:
			return wrong()
		}
	}
	return p, nil
}
