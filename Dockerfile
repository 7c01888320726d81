# The book's chapters in JupyterLab, on a CPU: docker build -t faceinpaint . && docker run -p 8888:8888 faceinpaint
# Binder, too, where it is pointed at the repository: that asks for the package notebook, and for a user of its number.
FROM python:3.12-slim
RUN apt-get update && apt-get install --yes --no-install-recommends git && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 1000 reader
WORKDIR /home/reader/faceinpaint
COPY --chown=reader . .
RUN pip install --no-cache-dir uv && uv pip install --system --no-cache --torch-backend cpu --editable '.[lab]' notebook
USER reader
EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser", "book"]
