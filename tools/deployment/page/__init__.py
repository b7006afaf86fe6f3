"""The page to try a model: what it shows (`views`, `hiding`), and how it looks (`layout`)."""
