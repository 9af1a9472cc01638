// compose says what the reference loader makes of Compose projects: a request per line on standard input, as JSON; on
// standard output a line for each: the project as `docker compose config --format json` prints it, or why it is refused.
// `compose schema` prints the loader's JSON schema.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/schema"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/cli/pkg/kvfile"
	"github.com/sirupsen/logrus"
)

// request is one project, as the flags and the environment of a `docker compose config` name it.
type request struct {
	Folder      string            `json:"folder"`
	Files       []string          `json:"files"`
	Profiles    []string          `json:"profiles"`
	EnvFiles    []string          `json:"env_files"`
	Name        string            `json:"name"`
	ProjectDir  string            `json:"project_directory"`
	Environment map[string]string `json:"environment"`
}

type answer struct {
	Error   string         `json:"error,omitempty"`
	Project map[string]any `json:"project,omitempty"`
	// Services that no profile switches on.
	Off []string `json:"off,omitempty"`
}

func main() {
	logrus.SetOutput(io.Discard)
	dotenv.RegisterFormat("raw", raw)
	if len(os.Args) > 1 && os.Args[1] == "schema" {
		fmt.Print(schema.Schema)
		return
	}
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "compose:", err)
		os.Exit(1)
	}
}

func serve(in io.Reader, out io.Writer) error {
	lines := bufio.NewReader(in)
	answers := json.NewEncoder(out)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 1 {
			var asked request
			if err := json.Unmarshal(line, &asked); err != nil {
				return err
			}
			if err := answers.Encode(load(asked)); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func load(asked request) (said answer) {
	defer func() {
		if panicked := recover(); panicked != nil {
			said = answer{Error: fmt.Sprint("panic: ", panicked)}
		}
	}()
	os.Clearenv()
	for name, value := range asked.Environment {
		os.Setenv(name, value)
	}
	if err := os.Chdir(asked.Folder); err != nil {
		return answer{Error: err.Error()}
	}
	project, err := config(asked)
	if err != nil {
		return answer{Error: err.Error()}
	}
	for name, service := range project.Services {
		if service.Build != nil {
			service.Build.SSH = nil // cannot be written as JSON: `"id": path`
			project.Services[name] = service
		}
	}
	text, err := project.MarshalJSON()
	if err != nil {
		return answer{Error: err.Error()}
	}
	if err := json.Unmarshal(text, &said.Project); err != nil {
		return answer{Error: err.Error()}
	}
	if len(project.Models) > 0 { // left out by the loader's own writer
		said.Project["models"] = project.Models
	}
	said.Off = project.DisabledServiceNames()
	return said
}

// config does what `docker compose config` does, in its order (pkg/compose/loader.go, cmd/compose/config.go).
func config(asked request) (*types.Project, error) {
	options := []cli.ProjectOptionsFn{
		cli.WithDefaultProfiles(asked.Profiles...),
		cli.WithDiscardEnvFile,
		cli.WithWorkingDirectory(asked.ProjectDir),
		cli.WithOsEnv,
		cli.WithEnvFiles(asked.EnvFiles...),
		cli.WithDotEnv,
		cli.WithConfigFileEnv,
		cli.WithDefaultConfigPath,
		cli.WithEnvFiles(asked.EnvFiles...),
		cli.WithDotEnv,
		cli.WithDefaultProfiles(asked.Profiles...),
		cli.WithName(asked.Name),
	}
	project, err := read(asked.Files, options)
	if err != nil {
		return nil, err
	}
	if project.Name == "" {
		return nil, errors.New("project name can't be empty")
	}
	project = project.WithoutUnnecessaryResources()
	project, err = project.WithServicesEnvironmentResolved(true)
	if err != nil {
		return nil, err
	}
	return project, project.CheckContainerNameUnicity()
}

func read(files []string, options []cli.ProjectOptionsFn) (*types.Project, error) {
	made, err := cli.NewProjectOptions(files, options...)
	if err != nil {
		return nil, err
	}
	return made.LoadProject(context.Background())
}

// raw is the env_file format that docker compose adds to its loader (cmd/compose/compose.go).
func raw(in io.Reader, _ string, vars map[string]string, lookup func(string) (string, bool)) error {
	lines, err := kvfile.ParseFromReader(in, lookup)
	if err != nil {
		return err
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, "=")
		vars[name] = value
	}
	return nil
}
