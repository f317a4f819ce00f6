import ShaCache

let clientVersion = Version.current
