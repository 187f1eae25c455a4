"""Pictures of what a trained network looks at, and of where it puts the frames of a clip."""
