//! The macros that make the types of secrets and of their stored hashes, and the error of a text that is no secret.

/// The text does not have the form of this kind of secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed {kind}")]
pub struct InvalidSecret {
    pub(super) kind: &'static str,
}

/// Makes a newtype over secret text: redacted, wiped when dropped, read only through `expose`.
macro_rules! secret {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone)]
        pub struct $name(secrecy::SecretString);

        impl $name {
            /// The secret itself. The text must not get into a log or an error.
            #[must_use]
            pub fn expose(&self) -> &str {
                secrecy::ExposeSecret::expose_secret(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "([redacted])"))
            }
        }
    };
}

/// Makes a newtype over the SHA-256 of a value that is not stored itself.
macro_rules! digest {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// The hash as 64 lower-case hex characters.
            #[must_use]
            pub fn to_hex(&self) -> String {
                $crate::id::random::hex(&self.0)
            }

            /// The 32 bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({}…)"), $crate::id::random::hex(&self.0[..4]))
            }
        }
    };
}

/// Makes a secret of 32 random bytes that its holder cannot read anything in, and the hash of it that is stored.
macro_rules! opaque {
    ($(#[$meta:meta])* $name:ident as $kind:literal, $(#[$hash_meta:meta])* $hash:ident) => {
        $crate::id::secret_text::secret! {
            $(#[$meta])*
            $name
        }

        $crate::id::secret_text::digest! {
            $(#[$hash_meta])*
            $hash
        }

        impl $name {
            /// A new one of 256 random bits.
            #[must_use]
            pub fn random() -> Self {
                Self($crate::id::random::random_base64url().as_str().into())
            }

            #[doc = concat!("Parses a ", $kind, " that a client presents: 43 characters of `[A-Za-z0-9_-]`.")]
            ///
            /// # Errors
            ///
            #[doc = concat!("[`InvalidSecret`](crate::id::InvalidSecret) for any other text. Answer it like an unknown ", $kind, ".")]
            pub fn parse(text: &str) -> Result<Self, $crate::id::secret_text::InvalidSecret> {
                match $crate::id::text::url_safe(text, 43) {
                    Ok(()) if text.len() == 43 => Ok(Self(text.into())),
                    _ => Err($crate::id::secret_text::InvalidSecret { kind: $kind }),
                }
            }

            /// The hash, which is stored.
            #[must_use]
            pub fn hash(&self) -> $hash {
                $hash(<sha2::Sha256 as sha2::Digest>::digest(self.expose().as_bytes()).into())
            }
        }
    };
}

pub(super) use digest;
pub(super) use opaque;
pub(super) use secret;
