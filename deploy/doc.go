// Package deploy holds no code: its tests check the units and workflows beside
// it.
package deploy
