// Reads a compose file with the library of Docker Compose itself: schema, interpolation, references between services. Prints the
// project as JSON.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	options, err := cli.NewProjectOptions([]string{os.Args[1]}, cli.WithProfiles([]string{"*"}), cli.WithWorkingDirectory(os.Args[2]), cli.WithResolvedPaths(false))
	if err == nil {
		project, failed := options.LoadProject(context.Background())
		if failed == nil {
			text, failed := project.MarshalJSON()
			if failed == nil {
				fmt.Println(string(text))
				return
			}
			err = failed
		} else {
			err = failed
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
