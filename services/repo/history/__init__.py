"""Commits, trees and branches."""
