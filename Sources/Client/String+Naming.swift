extension String {
    /// With the name in front, once: what failed often says of which file.
    public func naming(_ name: String) -> String { hasPrefix("\(name): ") ? self : "\(name): \(self)" }
}
