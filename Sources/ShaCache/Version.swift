/// The version of all programs; `CHANGELOG.md` has it too.
public enum Version {
    public static let current = "0.1.0"
}
