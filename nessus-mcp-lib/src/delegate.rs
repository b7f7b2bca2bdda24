//! Traits of decorators, made of one list of the methods that they pass on.

/// Makes the trait of those who wrap a value of `$main` and pass on to it whatever they do not change, and implements the traits
/// named for each of them. Those have no defaults, so a method that is missing in the list does not compile.
macro_rules! decorator {
    (
        $(#[$doc:meta])* $decorator:ident of $main:ident:
        $($of:ident { $($method:ident $(<$lifetime:lifetime>)? ($($argument:ident: $type:ty),*) -> $answer:ty;)* })+
    ) => {
        $(#[$doc])*
        #[async_trait::async_trait]
        pub trait $decorator: Send + Sync + std::fmt::Debug {
            /// What is wrapped, and does whatever is not changed.
            fn inner(&self) -> &dyn $main;
            $($(
                #[doc = concat!("Is asked for [`", stringify!($of), "::", stringify!($method), "`]; passes it on by default.")]
                async fn $method$(<$lifetime>)?(&self, $($argument: $type),*) -> $answer {
                    self.inner().$method($($argument),*).await
                }
            )*)+
        }
        $(
            #[async_trait::async_trait]
            impl<D: $decorator> $of for D {
                $(
                    async fn $method$(<$lifetime>)?(&self, $($argument: $type),*) -> $answer {
                        $decorator::$method(self, $($argument),*).await
                    }
                )*
            }
        )+
    };
}

pub(crate) use decorator;
